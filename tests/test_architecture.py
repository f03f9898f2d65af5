"""The rules of the house that a machine can check."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service import errors, files, metrics
from service.api.routes import ENDPOINTS
from service.engine import EngineWork
from service.errors import ServiceError
from service.http.answers import STATUS
from service.statements.repository import attached
from service.statements.statement import Statement
from service.work import Work

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "src" / "service").rglob("*.py"))
ERRORS = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, ServiceError)]


def test_imports_go_down_the_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_at_most_300_lines_and_says_what_it_is_for(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert text.startswith('"""')
    assert module.stem not in ("utils", "helpers", "common", "manager", "base")


def test_every_query_file_belongs_to_a_repository_of_the_work() -> None:
    owned = {repository.aggregate for repository in attached(Work).values()}
    assert {path.stem for path in files.sql("queries").glob("*.sql")} == owned


def test_every_statement_is_named_in_what_is_sent() -> None:
    for repository in attached(Work).values():
        for method in vars(repository).values():
            statement: Statement | None = getattr(method, "statement", None)
            if statement is not None:
                label = f"/* {repository.aggregate}.{statement.name} */ "
                assert all(variant.text.startswith(label) for variant in statement.variants.values())


def test_every_error_has_a_status_or_is_for_operators() -> None:
    for error in ERRORS:
        assert error.code in STATUS or error.code == "misconfigured"
        assert error.__doc__, f"{error.__name__} says nothing to its user"


def test_routes_say_what_they_need_and_are_unique() -> None:
    keys = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    assert len(keys) == len(set(keys))
    assert {endpoint.path for endpoint in ENDPOINTS if endpoint.permission == "anyone"} == {
        "/livez", "/readyz", "/openapi.json", "/docs", "/v1/sessions", "/v1/seed/niches",
    }  # fmt: skip


def test_what_the_database_compares_with_its_clock_is_made_by_its_clock() -> None:
    reads = {
        str(path.relative_to(ROOT / "src" / "service"))
        for path in MODULES
        if re.search(r"datetime\.now|utcnow|date\.today", path.read_text(encoding="utf-8"))
    }
    assert reads == {
        # Names of files and the reports that people read.
        "backups/swapping.py", "backups/taking.py", "offboarding/exporting.py", "checks/review/report.py", "cli/archives.py",
        # A check's own answer; a birthday, which is compared with nothing; the two clocks, which are compared here.
        "checks/runs/attack.py", "api/fields.py", "operations/health.py",
    }  # fmt: skip


def test_no_label_of_a_metric_is_a_tenant() -> None:
    for metric in vars(metrics).values():
        assert "tenant" not in getattr(metric, "_labelnames", ())


def test_no_committed_file_carries_an_address_of_a_registry_or_a_path_of_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    forbidden = re.compile("pypi" + r"\.org|files\.python" + r"hosted|/wo" + r"rk/|/ro" + "ot/")
    for name in filter(None, tracked.split("\0")):
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        assert not forbidden.search(text), name


CONTRACTS = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
ENGINE = re.findall(r'"service\.(\w+)"', CONTRACTS.partition("source_modules = [")[2].partition("]")[0])
"""The packages and modules that the contract keeps free of the domain."""


@pytest.mark.parametrize("name", ENGINE)
def test_the_engine_imports_without_the_domain(name: str) -> None:
    place = ROOT / "src" / "service" / name
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    modules = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in paths if path.stem != "__init__"
    ]
    domain = {"service.work", "service.api", *domain_modules()}
    domain = {"service.work", "service.api", *domain_modules()}
    shown = f"import sys, {', '.join(modules)}; print(*sys.modules.keys() & {domain})"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def domain_modules() -> list[str]:
    """The repositories that the engine does not attach, and what belongs to them."""
    engine = {repository.__module__ for repository in attached(EngineWork).values()}
    found = (f"service.repos.{path.stem}" for path in (ROOT / "src" / "service" / "repos").glob("[a-z]*.py"))
    return sorted(each for each in found if each not in engine)


def test_the_contract_names_every_module_of_the_domain() -> None:
    forbidden = CONTRACTS.partition("forbidden_modules = [")[2].partition("]")[0]
    assert sorted(re.findall(r'"(service\.repos\.\w+)"', forbidden)) == domain_modules()


def test_no_module_of_the_engine_imports_by_a_name_made_at_run_time() -> None:
    importing = {
        str(path.relative_to(ROOT / "src" / "service"))
        for path in MODULES
        if re.search(r"import_module|__import__", path.read_text(encoding="utf-8"))
    }
    assert importing == {"extensions.py"}


def test_the_tree_of_errors_names_every_error_below_its_parent() -> None:
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    (tree,) = re.findall(r"^ServiceError\n((?:.+\n)+)", inspect.getdoc(errors) or "", re.MULTILINE)
    named, parents = dict[str, str](), ["ServiceError"]
    for line in tree.splitlines():
        words = re.split(r"\s{3,}(?=[a-z])", line)[0]
        if re.match(r"[├└]── ", line):
            parents = ["ServiceError", re.findall(r"\w+", words)[0]]
            named[parents[1]] = "ServiceError"
            continue
        for name, inner in re.findall(r"(\w+)(?: \(([\w ]+)\))?", words):
            named |= {name: parents[1], **dict.fromkeys(inner.split(), name)}
    assert named == {each.__name__: each.__base__.__name__ for each in subclasses(ServiceError)}


def subclasses(kind: type[Any]) -> set[type[Any]]:
    return {
        each
        for below in kind.__subclasses__()
        for each in ({below} | subclasses(below))
        if each.__module__.startswith("service.")
    }


@pytest.mark.parametrize("path", sorted((ROOT / "bench").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_the_benchmarks_import_what_there_is(path: Path) -> None:
    importlib.import_module(f"bench.{path.stem}")
