"""`python -m bench`: measure, and print one table. The exit status says nothing about the aims."""

from __future__ import annotations

import argparse
import signal
import sys
from time import monotonic

import structlog

from bench import cached, http, inprocess, plans, report, sign_ins, streams, throughput, tracking
from bench.installation import Volume, installed
from bench.rounds import Plan

_SHORT = Plan(rounds=15, seconds=0.3, inner_rounds=100, calls=50)
_LONG = Plan(rounds=100, seconds=0.5, inner_rounds=1000, calls=100)
_PARTS = ("inprocess", "http", "sign_ins", "tracking", "throughput", "streams", "cached")
_APART = ("plans",)
"""Parts that run only if they are asked for, because they take long."""


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--long", action="store_true", help="more and longer rounds")
    parser.add_argument("--only", choices=(*_PARTS, *_APART), help="one part of it")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large tenant, for `--only plans`")
    parser.add_argument(
        "--against", action="append", default=[], metavar="LABEL=SRC", help="also Quarry from another source tree"
    )
    options = parser.parse_args()
    # So that the server and its directory go when this is told to.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    plan, volume, started = _LONG if options.long else _SHORT, Volume(), monotonic()

    def say(line: str) -> None:
        print(f"[{monotonic() - started:5.1f} s] {line}", flush=True)

    with installed(volume) as installation:
        say("database ready")
        tables = [report.heading(installation, volume)]
        parts = _PARTS if options.only is None else (options.only,)
        others = dict(pair.partition("=")[::2] for pair in options.against)
        if "inprocess" in parts:
            tables.append(report.in_process(inprocess.measure(installation, plan, say)))
        if "http" in parts:
            tables.append(report.over_http(http.measure(installation, plan, others, say)))
        if "sign_ins" in parts:
            tables.append(report.beside_sign_ins(sign_ins.measure(installation, plan.rounds, others, say)))
        if "tracking" in parts:
            tables.append(tracking.report(tracking.measure(installation, plan, say)))
        if "throughput" in parts:
            tables.append(throughput.report(throughput.measure(installation, volume, plan, say)))
        if "streams" in parts:
            tables.append(streams.report(streams.measure(installation, say)))
        if "cached" in parts:
            tables.append(cached.report(cached.measure(installation, plan, say)))
        if "plans" in parts:
            tables.append(plans.report(plans.measure(installation, options.rows, say)))
    print("\n" + "\n".join(tables))


if __name__ == "__main__":
    main()
