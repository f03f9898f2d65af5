"""The table: medians, ratios, and the aim beside each."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from statistics import median
from typing import NamedTuple

from bench.http import CACHED, KINDS
from bench.installation import Installation, Volume
from bench.load import CONNECTIONS
from bench.rounds import Samples
from bench.sign_ins import ALONE, BESIDE, CLIENTS, RATE, Waits, percentile

_PACKAGES = ("asyncpg", "aiosql", "sqlalchemy", "starlette", "uvicorn", "pydantic")
_NAMES = {
    "bare": "asyncpg, records",
    "dicts": "asyncpg, records to dicts",
    "quarry": "Quarry",
    "observed": "Quarry with statement metrics",
    CACHED: "Quarry with its cache",
    "handwritten": "by hand on asyncpg",
    "aiosql": "aiosql on asyncpg",
    "sqlalchemy": "SQLAlchemy's ORM",
}
_KINDS = {"find": "campaigns.find(id)", "page": "campaigns.page(limit=50)"}


class Aim(NamedTuple):
    """What `of` / `against` should be: at most or at least `bound`."""

    of: str
    against: str
    is_most: bool
    bound: float | None

    def verdict(self, ratio: float) -> str:
        """`at most 1.10: met`"""
        if self.bound is None:
            return "-"
        is_met = ratio <= self.bound if self.is_most else ratio >= self.bound
        return f"{'at most' if self.is_most else 'at least'} {self.bound:.2f}: {'met' if is_met else 'missed'}"


_IN_PROCESS = {
    "find": (Aim("quarry", "bare", True, 1.10), Aim("observed", "bare", True, None)),
    "page": (
        Aim("quarry", "bare", True, 1.10),
        Aim("quarry", "dicts", True, 1.10),
        Aim("observed", "dicts", True, None),
    ),
}
_OVER_HTTP = {
    "find": (
        Aim("quarry", "handwritten", False, 1.5),
        Aim("quarry", "aiosql", False, None),
        Aim("quarry", "sqlalchemy", False, 9.0),
        Aim(CACHED, "handwritten", False, 3.5),
    ),
    "list": (
        Aim("quarry", "handwritten", False, 2.5),
        Aim("quarry", "aiosql", False, None),
        Aim("quarry", "sqlalchemy", False, 11.0),
        Aim(CACHED, "handwritten", False, 8.0),
    ),
}
_BESIDE_SIGN_INS = Aim(BESIDE, ALONE, True, 3.0)


def heading(installation: Installation, volume: Volume) -> str:
    """Where and with what this was measured."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, uvloop, "
        f"PostgreSQL {installation.version} on loopback TCP\n{packages}\n"
        f"{volume.tenants} tenants of {volume.users_per_tenant} users and {volume.campaigns_per_tenant} campaigns; "
        f"role quarry_app, forced row-level security; {CONNECTIONS} connections of the load generator"
    )


def in_process(answers: Mapping[str, Samples]) -> str:
    """Microseconds per call."""
    return "\n".join(
        _table(f"{_KINDS[kind]} in process", "µs/call", samples, _IN_PROCESS[kind]) for kind, samples in answers.items()
    )


def over_http(answers: Mapping[str, Samples]) -> str:
    """Answers per second."""
    return "\n".join(_table(KINDS[kind], "req/s", samples, _OVER_HTTP[kind]) for kind, samples in answers.items())


def beside_sign_ins(answers: Mapping[str, Waits]) -> str:
    """Milliseconds until answers came, alone and while others signed in."""
    return "\n".join(_waits(label, waits) for label, waits in answers.items())


def _waits(label: str, waits: Waits) -> str:
    def line(name: str, values: list[float]) -> str:
        p50, p99 = (percentile(values, percent) * 1000 for percent in (50, 99))
        return f"  {name:<50}{p50:>10.1f}{p99:>10.1f}{len(values):>10,}"

    rate = median(waits.sign_ins_per_second)
    pooled = percentile(waits.gets[BESIDE], 99) / percentile(waits.gets[ALONE], 99)
    ratio, (low, high) = waits.p99.ratio(BESIDE, ALONE), waits.p99.spread(BESIDE, ALONE)
    of_rounds = f"{ratio:>10.2f}{f'{low:.2f}-{high:.2f}':>16}"
    return "\n".join([
        f"\n{f'{_name(label)} beside sign-ins':<52}{'p50 ms':>10}{'p99 ms':>10}{'count':>10}",
        line(f"{KINDS['find']}, {RATE} a second, alone", waits.gets[ALONE]),
        line(f"the same while {CLIENTS} clients sign in without pause", waits.gets[BESIDE]),
        line(f"POST /v1/sessions, {rate:.0f} a second", waits.sign_ins),
        f"{'  p99 beside / p99 alone':<62}{'ratio':>10}{'middle half':>16}   aim",
        f"  {'of all answers':<60}{pooled:>10.2f}{'':>16}   {_BESIDE_SIGN_INS.verdict(pooled)}",
        f"  {'median of the ratios of the rounds':<60}{of_rounds}   {_BESIDE_SIGN_INS.verdict(ratio)}",
    ])  # fmt: skip


def _table(title: str, unit: str, samples: Samples, aims: tuple[Aim, ...]) -> str:
    columns = f"{'CPU µs':>10}" if any(samples.cpu.values()) else ""
    lines = [f"\n{title:<62}{unit:>10}{'count':>10}{columns}"]
    for label in samples.figures:
        cost = samples.cost(label)
        line = f"  {_name(label):<60}{samples.median(label):>10,.0f}{samples.counts[label]:>10,}"
        lines.append(line + (f"{cost:>10,.0f}" if cost else ""))
    lines.append(f"{'  median of the ratios of the rounds':<62}{'ratio':>10}{'middle half':>16}   aim")
    others = [
        Aim(label, against, False, None)
        for label in samples.figures
        if label.startswith("quarry:")
        for against in ("quarry", "handwritten")
        if not any((label, against) == (aim.of, aim.against) for aim in aims)
    ]
    for aim in (*aims, *others):
        ratio, (low, high) = samples.ratio(aim.of, aim.against), samples.spread(aim.of, aim.against)
        pair = f"{_name(aim.of)} / {_name(aim.against)}"
        lines.append(f"  {pair:<60}{ratio:>10.2f}{f'{low:.2f}-{high:.2f}':>16}   {aim.verdict(ratio)}")
    return "\n".join(lines)


def _name(label: str) -> str:
    return _NAMES.get(label, label.replace("quarry:", "Quarry of "))
