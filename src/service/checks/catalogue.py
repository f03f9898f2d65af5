"""All statements of the service with the signatures that bind them, and who calls them."""

from __future__ import annotations

import ast
import functools
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.repos.calls import INDEX_SUFFIX
from service.repos.query import Repository
from service.repos.rows import Row
from service.statements import TENANT_PARAMETER, Statement
from service.work import Attached, Work


@dataclass(frozen=True)
class Entry:
    """A statement and the method whose body it is. `hints` are the method's annotations, `return` among them."""

    statement: Statement
    repository: type[Repository]
    model: type[Row] | None
    hints: Mapping[str, Any]
    personal: tuple[str, ...]
    attached: str
    """What the repository is called on a piece of work."""

    @property
    def label(self) -> str:
        """`campaigns.page`."""
        return self.statement.label

    @property
    def role(self) -> str:
        """The role that runs it."""
        return "quarry_platform" if self.statement.scope == "platform" else "quarry_app"

    def annotation(self, parameter: str) -> Any:
        """The annotation of a parameter of the statement; of a blind index that of the text it is made from."""
        if parameter == TENANT_PARAMETER:
            return None
        if parameter not in self.hints and parameter.endswith(INDEX_SUFFIX):
            return self.hints[parameter.removesuffix(INDEX_SUFFIX)]
        return self.hints[parameter]

    def is_given(self, parameter: str, key: int) -> bool:
        """Whether a parameter is never None in a variant."""
        if parameter == TENANT_PARAMETER or not is_optional(self.annotation(parameter)):
            return True
        chosen = (name for bit, name in enumerate(self.statement.conditions) if key >> bit & 1)
        return any(parameter == name or parameter in self.statement.groups[name] for name in chosen)


def is_optional(annotation: Any) -> bool:
    """Whether None is a value of a type."""
    return type(None) in typing.get_args(annotation) and typing.get_origin(annotation) in (
        typing.Union,
        types.UnionType,
    )


def entries() -> list[Entry]:
    """Every statement of sql/queries, in the order of the files and of the statements in them."""
    found = [
        entry
        for name, attached in vars(Work).items()
        if isinstance(attached, Attached)
        for entry in of(attached.repository, name)
    ]
    return sorted(found, key=lambda each: (each.statement.place.path, each.statement.place.line))


def of(repository: type[Repository], attached: str = "") -> Iterator[Entry]:
    """The statements of one repository."""
    for method in vars(repository).values():
        if isinstance(statement := getattr(method, "statement", None), Statement):
            yield Entry(
                statement, repository, method.model, method.hints, method.personal, attached or repository.aggregate
            )


@dataclass(frozen=True)
class Caller:
    """A place in the service that calls a statement."""

    module: str
    function: str
    line: int


def callers(entry: Entry) -> list[Caller]:
    """Where the service calls a statement: as `work.campaigns.page(…)`, or within its repository as `self.page(…)`."""
    name = entry.statement.name
    own = inspect.getmodule(entry.repository)
    found = _calls().get((entry.attached, name), [])
    inside = [each for each in _calls().get(("self", name), []) if own is not None and own.__name__ == each.module]
    return found + inside


@functools.cache
def _calls() -> Mapping[tuple[str, str], list[Caller]]:
    package = Path(__file__).parent.parent
    found: dict[tuple[str, str], list[Caller]] = {}
    for path in sorted(package.rglob("*.py")):
        module = ".".join(("service", *path.relative_to(package).with_suffix("").parts))
        for function, node in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            for holder, name, line in _attributes(node):
                found.setdefault((holder, name), []).append(Caller(module, function, line))
    return found


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The outermost functions of a module, those of its classes with the class's name before."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{within}{node.name}", node


def _attributes(function: ast.AST) -> Iterator[tuple[str, str, int]]:
    """`….holder.name` wherever it stands: it may be called there or be handed on."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            holder = node.value
            if isinstance(holder, ast.Attribute):
                yield holder.attr, node.attr, node.lineno
            elif isinstance(holder, ast.Name):
                yield holder.id, node.attr, node.lineno
