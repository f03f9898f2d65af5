"""Every alert of docs/alerts.yml fires when it should and is quiet when it should, as Prometheus itself evaluates it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import REGISTRY

from arranging.documents import CHECKOUT
from service import metrics
from service.http.answers import STATUS
from service.http.limits import LimitName

PROMTOOL = shutil.which("promtool")
RULES = CHECKOUT / "docs" / "alerts.yml"
STEADY = "0+60x90"
"""One a second, at one value a minute."""
NONE = "0x90"


def times(name: str, label: str, within: str) -> dict[str, str]:
    """A histogram of one a second, `within` of them in a second."""
    buckets = {"1": within, "2.5": STEADY, "+Inf": STEADY}
    return {f'{name}_bucket{{{label},le="{le}"}}': values for le, values in buckets.items()}


# For each alert the series that let it fire, and those that must not. Values come once a minute.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "QuarryDown": ({'up{job="quarry"}': NONE}, {'up{job="quarry"}': "1x90"}),
    "QuarryDatabaseLost": (
        {'quarry_connections_total{event="lost"}': "0 0 1x90", 'quarry_connections_total{event="recovered"}': NONE},
        {'quarry_connections_total{event="lost"}': "0 0 1x90", 'quarry_connections_total{event="recovered"}': "0 0 0 1x90"},
    ),
    "QuarryUnavailable": (
        {'quarry_requests_total{code="unavailable"}': STEADY, 'quarry_requests_total{code=""}': "0+600x90"},
        {'quarry_requests_total{code="unavailable"}': "0+1x90", 'quarry_requests_total{code=""}': "0+600x90"},
    ),
    "QuarryInternalErrors": (
        {'quarry_requests_total{code="internal"}': "0+1x90"}, {'quarry_requests_total{code="internal"}': "1x90"},
    ),
    "QuarryCommitUnknown": ({"quarry_commits_unknown_total": "0x85 1x9"}, {"quarry_commits_unknown_total": "0x40 1x50"}),
    "QuarryReadOnly": (
        {'quarry_requests_total{code="read_only"}': STEADY}, {'quarry_requests_total{code="read_only"}': "0x75 0+60x15"},
    ),
    "QuarrySlow": (
        times("quarry_request_seconds", 'route="/a"', NONE), times("quarry_request_seconds", 'route="/a"', STEADY),
    ),
    "QuarrySlowStatement": (
        times("quarry_statement_seconds", 'statement="a"', NONE), times("quarry_statement_seconds", 'statement="a"', STEADY),
    ),
    "QuarryContention": (
        {'quarry_retries_total{reason="Contention"}': "0+120x90"}, {'quarry_retries_total{reason="Contention"}': "0+30x90"},
    ),
    "QuarryPoolExhausted": ({"quarry_pool_waiting": "3x90"}, {"quarry_pool_waiting": "0 3x0 0x88"}),
    "QuarryConnectionChurn": (
        {'quarry_connections_total{event="connected"}': "0+120x90"}, {'quarry_connections_total{event="connected"}': "0+3x90"},
    ),
    "QuarryGuessing": (
        {'quarry_rate_limited_total{limit="guesses"}': STEADY}, {'quarry_rate_limited_total{limit="codes_tenant"}': STEADY},
    ),
    "QuarryDeaf": (
        {'quarry_listener_total{event="deaf"}': "0+1x90"}, {'quarry_listener_total{event="listening"}': "0+1x90"},
    ),
    "QuarryStuckStreams": (
        {'quarry_change_streams_closed_total{reason="stuck"}': STEADY},
        {'quarry_change_streams_closed_total{reason="left"}': STEADY},
    ),
    "QuarryConsumerFails": (
        {'quarry_consumer_failures_total{consumer="a"}': "0+1x90"}, {'quarry_consumer_failures_total{consumer="a"}': "0x80 1x9"},
    ),
    "QuarryConsumerReset": (
        {'quarry_consumer_resets_total{consumer="a",reason="lost"}': "0x60 1x29"},
        {'quarry_consumer_resets_total{consumer="a",reason="lost"}': "0x5 1x85"},
    ),
    "QuarryPurgeFails": ({"quarry_purge_failures_total": "0x60 1x29"}, {"quarry_purge_failures_total": NONE}),
    "QuarryUndecipherable": ({"quarry_undecipherable_total": "0x80 1x9"}, {"quarry_undecipherable_total": "5x90"}),
    "QuarryConnectionsRefused": (
        {'quarry_http_refused_total{reason="full"}': STEADY}, {'quarry_http_refused_total{reason="slow"}': STEADY},
    ),
    "QuarryReplicaBehind": (
        {'quarry_replica_behind_seconds{replica="r"}': "9x90"}, {'quarry_replica_behind_seconds{replica="r"}': "1x90"},
    ),
    "QuarryReplicaLost": ({'quarry_replica_up{replica="r"}': NONE}, {'quarry_replica_up{replica="r"}': "1x90"}),
}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.skipif(
    PROMTOOL is None and not os.environ.get("CI_PROMTOOL"),
    reason="there is no promtool here; install Debian's 'prometheus', or set CI_PROMTOOL=1 to fail instead",
)
def test_every_alert_fires_when_it_should_and_is_quiet_when_it_should(tmp_path: Path) -> None:
    assert {rule["alert"] for rule in rules()} == CASES.keys()
    tests = []
    for alert, cases in CASES.items():
        for fires, series in zip((True, False), cases, strict=True):
            # PromQL's own function, because what labels an alert has is not what is tested here.
            firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
            tests.append({
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {"expr": firing, "eval_time": "90m", "exp_samples": [{"labels": "{}", "value": float(fires)}]}
                ],
            })  # fmt: skip
    file = tmp_path / "cases.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_series_that_alerts_name_are_there_before_anything_has_happened() -> None:
    metrics.appear(statuses=STATUS, limits=get_args(LimitName), consumers=["mail"])
    for cases in CASES.values():
        for series in cases[0]:
            name, _, selector = series.partition("{")
            if "_bucket" in name or name == "up" or not name.endswith("_total"):
                continue
            labels = dict(pair.split("=") for pair in selector.rstrip("}").split(",") if pair)
            wanted = {label: value.strip('"').replace("a", "mail") if label == "consumer" else value.strip('"')
                      for label, value in labels.items() if value != '""'}  # fmt: skip
            samples = [sample for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name]
            assert any(wanted.items() <= sample.labels.items() for sample in samples), series
