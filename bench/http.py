"""Over HTTP: every contender in a process of its own, one load generator, short slices in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from subprocess import Popen
from typing import Any

from bench.installation import Installation
from bench.rounds import Plan, Samples
from bench.serving import Service, process, served
from bench.texts import LIST

KINDS: Mapping[str, str] = {"find": "GET /v1/campaigns/{id}", "list": f"GET /v1/campaigns, {LIST} rows"}
CONTENDERS = ("quarry", "handwritten", "aiosql", "sqlalchemy")
CACHED = "quarry:cached"
_UNBOUNDED = 10**9
_WARM_UP = 2000
_WARM_UP_SECONDS = 1.5


class Generator:
    """The load generator's process, told what to send over its stdin."""

    def __init__(self, child: Popen[str], requests: Mapping[str, Sequence[str]]) -> None:
        self.child = child
        self._say(requests)

    def run(self, port: int, kind: str, count: int, seconds: float) -> dict[str, Any]:
        """Send at most `count` requests for at most `seconds`. Raises RuntimeError after anything but a 200."""
        self._say({"port": port, "kind": kind, "count": count, "seconds": seconds})
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError("the load generator gave up; see its log")
        return json.loads(line)  # type: ignore[no-any-return]

    def _say(self, content: object) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(content) + "\n")
        self.child.stdin.flush()


def measure(
    installation: Installation, plan: Plan, others: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Samples]:
    """Answers per second by kind and contender; `others` are further source trees of Quarry by label."""
    environments: dict[str, dict[str, str]] = {name: {} for name in CONTENDERS}
    # The others ask the database every time.
    environments |= {"quarry": {"CACHE_TTL": "0"}, CACHED: {}}
    environments |= {f"quarry:{label}": {"PYTHONPATH": path} for label, path in others.items()}
    with ExitStack() as stack:
        services = {
            label: stack.enter_context(served(installation, label, environment))
            for label, environment in environments.items()
        }
        generator = Generator(
            stack.enter_context(process("bench.load", errors=installation.directory / "load.log")),
            requests(installation),
        )
        try:
            answers = {}
            for kind in KINDS:
                _verify(generator, services, kind)
                answers[kind] = _measure(generator, services, kind, plan)
                say(f"{KINDS[kind]}: {plan.rounds} rounds of {plan.seconds} s for each of {len(services)} contenders")
        except RuntimeError as error:
            logs = sorted(installation.directory.glob("*.log"))
            tails = "\n".join(f"--- {path.name}\n{path.read_text()[-1500:]}" for path in logs)
            raise RuntimeError(f"{error}\n{tails}") from error
    return answers


def requests(installation: Installation) -> dict[str, list[str]]:
    """Every tenant in turn, each time another campaign of it."""
    members = installation.members
    finds = [
        _request(f"/v1/campaigns/{member.campaigns[turn]}", member.token)
        for turn in range(len(members[0].campaigns))
        for member in members
    ]
    return {"find": finds, "list": [_request(f"/v1/campaigns?limit={LIST}", member.token) for member in members]}


def _request(path: str, token: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n\r\n"


def _verify(generator: Generator, services: Mapping[str, Service], kind: str) -> None:
    """All contenders answer one request with the same JSON. Raises RuntimeError otherwise."""
    bodies = {}
    for label, service in services.items():
        bodies[label] = json.loads(generator.run(service.port, kind, 1, 10.0)["body"])
    expected = bodies["quarry"]
    if len(expected.get("items", range(LIST))) != LIST or "id" not in expected.get("items", [expected])[0]:
        raise RuntimeError(f"{kind}: not what was asked for: {str(expected)[:300]}")
    for label, body in bodies.items():
        if body != expected:
            raise RuntimeError(f"{kind}: {label} answers something else: {str(body)[:300]}, not {str(expected)[:300]}")


def _measure(generator: Generator, services: Mapping[str, Service], kind: str, plan: Plan) -> Samples:
    for service in services.values():
        generator.run(service.port, kind, _WARM_UP, _WARM_UP_SECONDS)
    samples = Samples(tuple(services))
    for labels in plan.turns(tuple(services)):
        for label in labels:
            service = services[label]
            before = service.cpu()
            result = generator.run(service.port, kind, _UNBOUNDED, plan.seconds)
            cpu = service.cpu() - before
            samples.add(label, result["answers"] / result["seconds"], result["answers"], cpu)
    return samples
