"""What the bodies of functions do that are not the server's own, read word by word.

The reading errs in one direction: a word that is also the name of a table or a function counts as that table or function. A
body in which a text is run, or that is in another language than SQL and PL/pgSQL, can't be read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.checks.proofs import system_functions
from service.checks.proofs.callees import callees
from service.checks.proofs.catalog import Catalog, Function, Routine
from service.statements import lexer
from service.statements.lexer import Kind, Lexeme

_READ = frozenset({"sql", "plpgsql"})
_WRITES = frozenset(
    {"insert", "update", "delete", "merge", "truncate", "create", "alter", "drop", "grant", "revoke", "copy"}
)
_STARTS = frozenset({";", "begin", "then", "else", "loop", ""})
_FRESH = frozenset({"fresh", "transaction"})
_VALUES_OF_SESSION = frozenset({
    "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "current_user", "session_user",
    "current_role", "current_catalog", "current_schema",
})  # fmt: skip
"""Words that are calls without parentheses."""
_SETTINGS = frozenset({"app.tenant_id", "role", "session_authorization", "row_security"})
_RANGES = frozenset(
    f"{each}{kind}" for each in ("int4", "int8", "num", "ts", "tstz", "date") for kind in ("range", "multirange")
)
"""The server's own range types."""
_LONGEST = 63
"""The bytes of a name that PostgreSQL keeps."""


@dataclass(frozen=True)
class Body:
    """What a function does, with the functions that it calls: the tables that it names, and the reasons, if it does more.

    `sets` says what it sets, `writes` whether it may write, `unread` why it can't be read, `unstable` what in it depends on more
    than its arguments, `fresh` what in it is another each time, `acts` the first thing that a statement may not do.
    """

    tables: frozenset[str] = frozenset()
    sets: str = ""
    writes: bool = False
    unread: str = ""
    unstable: str = ""
    fresh: str = ""
    acts: str = ""

    def __or__(self, other: Body) -> Body:
        return Body(
            self.tables | other.tables, self.sets or other.sets, self.writes or other.writes, self.unread or other.unread,
            self.unstable or other.unstable, self.fresh or other.fresh, self.acts or other.acts,
        )  # fmt: skip


@functools.lru_cache(maxsize=1)
def bodies_of(catalog: Catalog) -> Bodies:
    """The bodies of a catalog, which all checks of it read together."""
    return Bodies(catalog)


class Bodies:
    """Reads bodies of a catalog, each once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._direct: dict[int, tuple[Body, frozenset[Function]]] = {}
        self._tables = {each.name for each in catalog.relations.values()} | set(catalog.system.values())
        self._operators = {
            name for oid, name in catalog.operators.items() if catalog.operator_functions[oid] in catalog.routines
        }
        self._types = {
            name.rpartition(".")[2].strip('"') for name in catalog.kinds
            if not name.startswith("information_schema.") and name not in _RANGES
        }  # fmt: skip

    def of(self, function: Function) -> Body:
        """What a function does, and what the functions do that it calls, however deep."""
        found, met, todo = Body(), {function}, [function]
        while todo:
            body, called = self._read(todo.pop())
            found |= body
            todo += called - met
            met |= called
        return found

    def hands_on(self, function: Function) -> frozenset[Function]:
        """The functions of ours that a function calls, if it does nothing else that matters; none if it does more."""
        body, called = self._read(function)
        does_more = body.tables or body.sets or body.writes or body.unread or body.acts
        return frozenset() if does_more else called

    def _read(self, function: Function) -> tuple[Body, frozenset[Function]]:
        """What a function does itself, and the functions of ours that it calls."""
        if function.oid not in self._direct:
            self._direct[function.oid] = self._once(function)
        return self._direct[function.oid]

    def _once(self, function: Function) -> tuple[Body, frozenset[Function]]:
        routine = self._catalog.routines.get(function.oid)
        if routine is None:
            return _of_system(function), frozenset()
        found = Body(fresh=f"it calls {function.name}()" if function.is_volatile else "")
        for setting in routine.config:
            name = setting.partition("=")[0]
            if name in _SETTINGS:
                found |= Body(sets=f"its SET clause sets {name}")
        called = {self._catalog.functions[part] for part in routine.parts}
        if routine.defaults is not None:
            called |= {each.function for each in callees(routine.defaults, self._catalog)}
        if routine.parts or _is_constructor(function, routine, self._catalog):
            return found, frozenset(called)
        if routine.language not in _READ:
            return found | Body(
                unread=f"it is written in {routine.language}", unstable="what it does is not known"
            ), frozenset(called)
        try:
            lexemes = list(lexer.scan(routine.body))
        except lexer.Unterminated as error:
            return found | _unread(str(error)), frozenset(called)
        words = [each for each in lexemes if each.kind not in (Kind.SPACE, Kind.COMMENT)]
        for position, word in enumerate(words):
            body, others = self._word(words, position, word)
            found, called = found | body, called | others
        return found, frozenset(called | self._operated(lexemes))

    def _word(self, words: list[Lexeme], position: int, word: Lexeme) -> tuple[Body, set[Function]]:
        if word.kind is Kind.QUOTED and word.text[:1] in "uU":
            return _unread("it names something by escapes"), set()
        if word.kind is Kind.STRING and "\\'" in word.text and word.text[:1] not in "eE$":
            return _unread("a text in it has a backslash, which a setting may give a meaning"), set()
        if word.kind not in (Kind.WORD, Kind.QUOTED, Kind.PARAMETER):
            return Body(), set()
        text = word.name if word.kind is Kind.PARAMETER else word.text
        # As the server folds and shortens names.
        name = (
            text[1:-1].replace('""', '"')
            if word.kind is Kind.QUOTED
            else "".join(c.lower() if c.isascii() else c for c in text)
        )
        name = name.encode()[:_LONGEST].decode(errors="ignore")
        before = words[position - 1].text.lower() if position else ""
        after = words[position + 1] if position + 1 < len(words) else None
        called = self._functions.get(name, [])
        own = {each for each in called if each.oid in self._catalog.routines}
        # Ours also without parentheses: a function of a row is called like a field of it.
        found = Body()
        if after is not None and after.text == "(":
            found = functools.reduce(Body.__or__, (_of_system(each) for each in called if each not in own), found)
        return found | self._keyword(name, before, after), own

    def _keyword(self, name: str, before: str, after: Lexeme | None) -> Body:
        if name == "execute" or (
            name == "do" and after is not None and (after.kind is Kind.STRING or after.text.lower() == "language")
        ):
            return _unread("it runs a text")
        if name in ("set", "reset") and before in _STARTS:
            return Body(sets=f"it says {name.upper()} {after.text if after else ''}")
        if name in _VALUES_OF_SESSION:
            return Body(unstable=f"it asks for {name.upper()}")
        if name in ("notify", "listen") and before in _STARTS:
            return Body(acts=name.upper())
        if name in _WRITES:
            return Body(writes=True, unstable=f"it says {name.upper()}")
        if name in self._types:
            return _unread(f"it names the type {name}, whose casts and CHECKs may do anything")
        if (
            name in self._tables
            or name == "information_schema"
            or (name.startswith("pg_") and name not in ("pg_catalog", "pg_temp"))
        ):
            return Body(tables=frozenset({name}), unstable=f"it reads {name}")
        return Body()

    @functools.cached_property
    def _functions(self) -> Mapping[str, list[Function]]:
        found: dict[str, list[Function]] = {}
        for each in self._catalog.functions.values():
            found.setdefault(each.name, []).append(each)
        return found

    def _operated(self, lexemes: list[Lexeme]) -> set[Function]:
        """The functions of our operators whose names are in the body, and of their commutators and negators."""
        symbols = "".join(each.text if each.kind is Kind.SYMBOL else " " for each in lexemes)
        names = {each for each in self._operators if each in symbols}
        found = set()
        for oid, name in self._catalog.operators.items():
            if name in names and self._catalog.operator_functions[oid] in self._catalog.routines:
                for each in (oid, *self._catalog.twins.get(oid, ())):
                    if each in self._catalog.operator_functions:
                        found.add(self._catalog.functions[self._catalog.operator_functions[each]])
        return found


def _unread(why: str) -> Body:
    return Body(unread=why, unstable=why)


def _is_constructor(function: Function, routine: Routine, catalog: Catalog) -> bool:
    """Whether a function is one that the server makes for a range type."""
    kind = catalog.kinds.get(function.returns)
    return routine.language == "internal" and kind in ("range", "multirange")


def _of_system(function: Function) -> Body:
    kind = system_functions.kind(function)
    name = f"{function.name}()"
    if kind == "settings":
        return Body(sets=f"it calls {name}", acts=name)
    if kind not in system_functions.ALLOWED:
        return Body(acts=name, unstable=f"it calls {name}")
    return Body(
        unstable="" if kind not in _FRESH or function.is_immutable else f"it calls {name}",
        fresh=f"it calls {name}" if function.is_volatile and kind == "fresh" else "",
    )


def lies(function: Function, body: Body) -> Iterator[str]:
    """Why a function's volatility is not what its label says: a plan could run it too seldom, or an index keep an old result."""
    if function.is_immutable and (body.unstable or body.sets):
        yield f"it is labelled IMMUTABLE, and {body.unstable or body.sets}"
    elif not function.is_volatile and (body.writes or body.sets or body.fresh):
        yield f"it is labelled STABLE, and {body.sets or body.fresh or 'it writes'}"
