"""What the bodies of functions do that are not the server's own, read word by word.

The reading errs in one direction: a word that is also the name of a table or a function counts as that table or function. A
body in which a text is run, or that is in another language than SQL and PL/pgSQL, can't be read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.checks.proofs import system_functions
from service.checks.proofs.catalog import Catalog, Function
from service.statements import lexer
from service.statements.lexer import Kind, Lexeme

_READ = frozenset({"sql", "plpgsql"})
_WRITES = frozenset(
    {"insert", "update", "delete", "merge", "truncate", "create", "alter", "drop", "grant", "revoke", "copy"}
)
_STARTS = frozenset({";", "begin", "then", "else", "loop", ""})
_FRESH = frozenset({"fresh", "transaction"})
_SETTINGS = frozenset({"app.tenant_id", "role", "session_authorization", "row_security"})


@dataclass(frozen=True)
class Body:
    """What a function does, with the functions that it calls: the tables that it names, and the reasons, if it does more.

    `sets` says what it sets, `writes` whether it may write, `unread` why it can't be read, `unstable` what in it depends on
    more than its arguments, `acts` the first function of pg_catalog that a statement may not call.
    """

    tables: frozenset[str] = frozenset()
    sets: str = ""
    writes: bool = False
    unread: str = ""
    unstable: str = ""
    acts: str = ""

    def __or__(self, other: Body) -> Body:
        return Body(
            self.tables | other.tables, self.sets or other.sets, self.writes or other.writes, self.unread or other.unread,
            self.unstable or other.unstable, self.acts or other.acts,
        )  # fmt: skip


class Bodies:
    """Reads bodies of a catalog, each once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[int, Body] = {}
        self._tables = {each.name for each in catalog.relations.values()}

    def of(self, function: Function) -> Body:
        """What a function does, and what the functions do that it calls."""
        if function.oid not in self._known:
            # A function that calls itself adds nothing.
            self._known[function.oid] = Body()
            self._known[function.oid] = self._read(function)
        return self._known[function.oid]

    def hands_on(self, function: Function) -> frozenset[Function]:
        """The functions of ours that a function calls, if it does nothing else that matters; none if it does more."""
        routine = self._catalog.routines.get(function.oid)
        if routine is None or routine.parts or routine.language not in _READ:
            return frozenset()
        words = [each for each in lexer.scan(routine.body) if each.kind not in (Kind.SPACE, Kind.COMMENT)]
        called, alone = set(), Body()
        for position, word in enumerate(words):
            own = self._own(words, position, word)
            called |= own
            alone |= Body() if own else self._word(words, position, word)
        does_more = alone.tables or alone.sets or alone.writes or alone.unread or alone.acts
        return frozenset() if does_more else frozenset(called)

    def _own(self, words: list[Lexeme], position: int, word: Lexeme) -> set[Function]:
        after = words[position + 1].text if position + 1 < len(words) else ""
        found = self._functions.get(word.text.lower(), []) if after == "(" else []
        return {each for each in found if each.oid in self._catalog.routines}

    def _read(self, function: Function) -> Body:
        routine = self._catalog.routines.get(function.oid)
        if routine is None:
            return _of_system(function)
        found = Body()
        for part in routine.parts:
            found |= self.of(self._catalog.functions[part])
        for setting in routine.config:
            name = setting.partition("=")[0]
            if name in _SETTINGS:
                found |= Body(sets=f"its SET clause sets {name}")
        if routine.parts:
            return found
        if routine.language not in _READ:
            return found | Body(unread=f"it is written in {routine.language}", unstable="what it does is not known")
        try:
            words = [each for each in lexer.scan(routine.body) if each.kind not in (Kind.SPACE, Kind.COMMENT)]
        except lexer.Unterminated as error:
            return found | Body(unread=str(error))
        for position, word in enumerate(words):
            found |= self._word(words, position, word)
        return found

    def _word(self, words: list[Lexeme], position: int, word: Lexeme) -> Body:
        if word.kind is Kind.SYMBOL:
            return self._operator(word.text)
        if word.kind is Kind.QUOTED and word.text[:1] in "uU":
            return Body(unread="it names something by escapes")
        if word.kind not in (Kind.WORD, Kind.QUOTED):
            return Body()
        name = word.text.lower() if word.kind is Kind.WORD else word.text[1:-1].replace('""', '"')
        before = words[position - 1].text.lower() if position else ""
        after = words[position + 1].text if position + 1 < len(words) else ""
        if after == "(" and (called := self._functions.get(name)):
            return functools.reduce(Body.__or__, (self.of(each) for each in called))
        if name == "execute":
            return Body(unread="it runs a text", unstable="it runs a text")
        if name in ("set", "reset") and before in _STARTS:
            return Body(sets=f"it says {name.upper()} {after}")
        if name in _WRITES:
            return Body(writes=True, unstable=f"it says {name.upper()}")
        if name in self._tables or (name.startswith("pg_") and name not in ("pg_catalog", "pg_temp")):
            return Body(tables=frozenset({name}), unstable=f"it reads {name}")
        return Body()

    @functools.cached_property
    def _functions(self) -> Mapping[str, list[Function]]:
        found: dict[str, list[Function]] = {}
        for each in self._catalog.functions.values():
            found.setdefault(each.name, []).append(each)
        return found

    def _operator(self, symbol: str) -> Body:
        oids = [oid for oid, name in self._catalog.operators.items() if name == symbol]
        own = [
            self._catalog.operator_functions[oid]
            for oid in oids
            if self._catalog.operator_functions[oid] in self._catalog.routines
        ]
        return functools.reduce(Body.__or__, (self.of(self._catalog.functions[each]) for each in own), Body())


def _of_system(function: Function) -> Body:
    kind = system_functions.kind(function)
    name = f"{function.name}()"
    if kind == "settings":
        return Body(sets=f"it calls {name}", acts=name)
    if kind not in system_functions.ALLOWED:
        return Body(acts=name, unstable=f"it calls {name}")
    return Body(unstable="" if kind not in _FRESH or function.is_immutable else f"it calls {name}")


def lies(function: Function, body: Body) -> Iterator[str]:
    """Why a function's volatility is not what its label says: a plan could run it too seldom, or an index keep an old result."""
    if function.is_immutable and (body.unstable or body.sets):
        yield f"it is labelled IMMUTABLE, and {body.unstable or body.sets}"
    elif not function.is_volatile and (body.writes or body.sets):
        yield f"it is labelled STABLE, and {body.sets or 'it writes'}"
