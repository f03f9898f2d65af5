"""Finds which functions a request may run. The search starts at the request's handler and follows the names in the source code.

The code is parsed and not executed, so functions that are called in any branch are included. A function that is called only
indirectly is not found, for example one that is taken from a dict at module level.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
_PACKAGE = "service"


@dataclass
class _Module:
    """A module of the service.

    `names` has the functions and classes that the module defines, and what it imports from the service with `from … import`.
    It maps the short name in the module (`Call`) to the full name (`service.http.call.Call`).
    """

    name: str
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class Source:
    """The source code of the service, parsed.

    `functions` maps the full name of a function, such as `service.http.call.Call.run`, to a tuple: the function's syntax tree,
    its module, and the full name of its class ('' for a function outside a class).
    """

    functions: dict[str, tuple[Function, _Module, str]] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=dict)
    """Maps the full name of a class to the full names of its base classes. Base classes from outside the service are left out."""
    _known: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, name: str, tree: ast.Module) -> None:
        """Add the functions and classes of the module `name`; `tree` is the module's syntax tree."""
        module = _Module(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGE):
                module.names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        for node in tree.body:
            if isinstance(node, Function):
                module.names[node.name] = f"{name}.{node.name}"
                self.functions[f"{name}.{node.name}"] = node, module, ""
            elif isinstance(node, ast.ClassDef):
                owner = module.names[node.name] = f"{name}.{node.name}"
                self.classes[owner] = [full for each in node.bases if (full := self._class(each, module))]
                for inner in node.body:
                    if isinstance(inner, Function):
                        self.functions[f"{owner}.{inner.name}"] = inner, module, owner

    def reached(self, start: str) -> set[str]:
        """The full names of `start` and of all functions that it may call, directly or through other functions."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name in self.functions and name not in found:
                found.add(name)
                waiting.extend(self._next(name))
        return found

    def _next(self, name: str) -> frozenset[str]:
        if name not in self._known:
            self._known[name] = frozenset(self._resolved(name))
        return self._known[name]

    def _resolved(self, name: str) -> Iterator[str]:
        node, module, owner = self.functions[name]
        variables = self._variables(node, module, owner)
        for each in ast.walk(node):
            if isinstance(each, ast.Name | ast.Attribute) and (full := self._full(each, module, variables)):
                yield full
                yield f"{full}.__init__"
                yield f"{full}.__call__"

    def _full(self, node: ast.expr, module: _Module, variables: Mapping[str, str]) -> str:
        """The full name of the function or class of the service that an expression refers to; '' if none is recognized."""
        if isinstance(node, ast.Subscript):
            return self._full(node.value, module, variables)
        if isinstance(node, ast.Name):
            return module.names.get(node.id, "")
        if not isinstance(node, ast.Attribute):
            return ""
        if isinstance(node.value, ast.Name) and (owner := variables.get(node.value.id)):
            return self._method(owner, node.attr)
        holder = self._full(node.value, module, variables)
        return (self._method(holder, node.attr) or f"{holder}.{node.attr}") if holder else ""

    def _method(self, owner: str, name: str) -> str:
        if f"{owner}.{name}" in self.functions:
            return f"{owner}.{name}"
        return next(filter(None, (self._method(each, name) for each in self.classes.get(owner, ()))), "")

    def _variables(self, node: Function, module: _Module, owner: str) -> dict[str, str]:
        """Maps variables of a function to the full names of their classes, if these are classes of the service.

        The class is known for `self` and `cls`, for a parameter with an annotation, and for a variable that is assigned a new
        object (`x = Call(…)`) or the result of a function whose result has an annotation.
        """
        found = {"self": owner, "cls": owner} if owner else {}
        for each in ast.walk(node):
            if (
                isinstance(each, ast.arg)
                and each.annotation is not None
                and (full := self._class(each.annotation, module))
            ):
                found[each.arg] = full
        for each in ast.walk(node):
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                value = each.value.value if isinstance(each.value, ast.Await) else each.value
                called = self._full(value.func, module, found) if isinstance(value, ast.Call) else ""
                if called in self.classes:
                    found[each.targets[0].id] = called
                elif called in self.functions:
                    answer, its_module, _ = self.functions[called]
                    if answer.returns is not None and (full := self._class(answer.returns, its_module)):
                        found[each.targets[0].id] = full
        return found

    @staticmethod
    def _class(annotation: ast.expr, module: _Module) -> str:
        """The full name of the first class in an annotation that belongs to the service; '' if there is none.

        For example, in `Call`, `Call | None` and `Call[T]` this is the class `Call`.
        """
        for each in ast.walk(annotation):
            if isinstance(each, ast.Name) and each.id in module.names:
                return module.names[each.id]
        return ""

    def handed(self, repositories: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str, str, int]]:
        """Find the calls by which one function passes a repository to another, which then calls statements of the repository.

        Example: after `create_profile(work.brands, …)`, create_profile calls the statement `create` of `brands`. `repositories`
        maps the name that a repository has as an attribute of a unit of work (`brands`) to the names of its statements. Yields
        the repository's name, the statement's name, the full name of the function that passes the repository, and the line on
        which it does so.
        """
        for name, (node, module, owner) in self.functions.items():
            variables = self._variables(node, module, owner)
            for call in ast.walk(node):
                if not isinstance(call, ast.Call):
                    continue
                taker = self.functions.get(self._full(call.func, module, variables))
                for position, value in enumerate(call.args if taker else ()):
                    if isinstance(value, ast.Attribute) and value.attr in repositories and taker is not None:
                        for statement in _used(taker[0], position, repositories[value.attr]):
                            yield value.attr, statement, name, call.lineno


@functools.cache
def source() -> Source:
    """The parsed source code of all modules of the service; it is read only once."""
    read = Source()
    root = Path(__file__).parent.parent.parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join((_PACKAGE, *(part for part in parts if part != "__init__")))
        read.add(name, ast.parse(path.read_text(encoding="utf-8")))
    return read


def _used(taker: Function, position: int, statements: Collection[str]) -> Iterator[str]:
    """Yields each name in `statements` that the function `taker` uses as an attribute of its positional parameter.

    `position` is the number of this parameter, from 0.
    """
    parameters = [each.arg for each in taker.args.posonlyargs + taker.args.args]
    taken = parameters[position] if position < len(parameters) else ""
    for each in ast.walk(taker):
        if not isinstance(each, ast.Attribute) or each.attr not in statements:
            continue
        if isinstance(each.value, ast.Name) and each.value.id == taken:
            yield each.attr
