"""Read: a method of a repository that only reads, and ReadCall: a call of it.

A ReadCall is awaited like a coroutine. Where no transaction is needed, its statement is sent as one message (frames.py).
`read_with_bearer` sends it in the same message as the statement that looks the bearer up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Generator, Sequence
from time import monotonic
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from service.cache.cache import Reading, Rows
from service.cache.watermarks import Stamp
from service.errors import NotFound
from service.statements.cached import CachedReads, stamp
from service.statements.calls import Bound
from service.statements.frames import Form, Frame, FrameResult, form_of, frame, framed_keys
from service.statements.shaping import missing
from service.statements.statement import Variant
from service.tenancy.binding import Binding
from service.tenancy.direct import NotDirect

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.statements")

_DOCUMENT = "document"


class ReadCall(Awaitable[Any]):
    """One call of a method that reads. The statement runs when the call is awaited."""

    __slots__ = ("binding", "method", "values", "variant")

    def __init__(self, method: Read, binding: Binding, variant: Variant, values: Sequence[object]) -> None:
        self.method, self.binding, self.variant, self.values = method, binding, variant, values

    def __await__(self) -> Generator[Any, None, Any]:
        return self.method.rows(self).__await__()

    @property
    def is_direct(self) -> bool:
        """Whether the statement can be sent as one message, because it needs no transaction and none is open."""
        binding = self.binding
        return (
            self.variant.text in self.method.framed
            and binding.direct is not None
            and binding.direct.may_serve
            and not binding.connection.is_in_transaction()
        )

    @property
    def can_render(self) -> bool:
        """Whether PostgreSQL can render the rows as JSON."""
        return self.method.can_render and self.is_direct

    async def documents(self) -> list[str]:
        """The rows as JSON texts, from the cache if there is one.

        Raises NotFound if the method is a `:one` without a row, NotDirect if rows have to be asked for instead.
        """
        return self.method.found(await self.method.documents(self))


class JointResult(NamedTuple):
    """What a statement and the lookup of the bearer have returned in one message."""

    bearer: Any
    """The row of the bearer; None if there is none. Then the statement has not run."""
    stamp: tuple[int, int, int] | None
    """Epoch, the tenant's commit number and that of shared data; None if they were not asked for, or are unknown."""
    asked: ReadCall
    answer: Sequence[Any]
    is_rendered: bool
    """Whether the answer is JSON texts."""

    @property
    def rows(self) -> Any:
        """What the method returns. Raises NotFound if it is a `:one` without a row."""
        return self.asked.method.shape(self.answer, self.asked.binding)

    @property
    def documents(self) -> list[str]:
        """The rows as JSON texts, if these were asked for. Raises what ReadCall.documents raises."""
        return self.asked.method.found(self.asked.method.compared(self.answer))


async def read_with_bearer(asked: ReadCall, bearer: ReadCall, form: Form, *, has_numbers: bool) -> JointResult:
    """Send a statement in one message with the statement that looks the bearer up. Raises NotDirect if it needs a transaction."""
    framed = await asked.method.send_observed(asked, form, bearer=bearer, has_numbers=has_numbers)
    found = bearer.method.shape(() if framed.bearer is None else (framed.bearer,), bearer.binding)
    return JointResult(found, framed.stamp, asked, framed.answer, form == "json")


class Read(Bound):
    """A method of a repository whose statement only reads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.framed = frozenset(self.statement.variants[key].text for key in framed_keys(self.statement))
        """The texts of the variants that can be sent as one message."""
        self.can_render = form_of(self.statement, self.model) == "json"
        self._cache = None if self.cached is None else CachedReads(self.statement, self.cached)
        self._frames: dict[tuple[object, ...], Frame] = {}
        self._has_compared = False

    def __call__(self, repository: Any, *args: object, **named: object) -> ReadCall:
        """Prepare a call. Raises TypeError as a plain Python call would, TenantUnbound if the statement needs a tenant and the
        transaction has none. Errors of the statement are raised when the call is awaited.
        """
        binding: Binding = repository._binding  # noqa: SLF001  it is the repository's own method
        return ReadCall(self, binding, *self.prepared(binding, args, named))

    async def rows(self, asked: ReadCall) -> Any:
        """What the method returns, from the cache if there is one."""
        cache, reading = self._cache, asked.binding.reading
        if cache is not None and reading is not None:
            rows = await cache.read(reading, asked.variant, asked.values, lambda: self._fill(cache, asked, reading))
            return self.shape(rows, asked.binding)
        return await self.observed(asked.binding, self._uncached(asked))

    async def documents(self, asked: ReadCall) -> list[str]:
        """The rows as JSON texts, from the cache if there is one; none if there is no row. Raises NotDirect."""
        cache, reading = self._cache, asked.binding.reading
        if cache is not None and reading is not None:
            rows = await cache.read(
                reading, asked.variant, asked.values, lambda: self._fill_documents(asked, reading),
                text=self._frame(asked.variant, "json", None, has_numbers=True).text,
            )  # fmt: skip
            return [row[_DOCUMENT] for row in rows]
        return self.compared((await self.send_observed(asked, "json", has_numbers=False)).answer)

    async def send_observed(
        self, asked: ReadCall, form: Form, *, bearer: ReadCall | None = None, has_numbers: bool
    ) -> FrameResult:
        """Send the statement as one message, and note it as `observed` does. Raises NotDirect if it needs a transaction."""
        sending = self._send(asked, form, bearer=bearer, has_numbers=has_numbers)
        return await self.observed(asked.binding, sending, count=lambda framed: len(framed.answer))

    async def _send(
        self, asked: ReadCall, form: Form, *, bearer: ReadCall | None = None, has_numbers: bool
    ) -> FrameResult:
        binding = asked.binding
        if not asked.is_direct or binding.direct is None:
            raise NotDirect
        sent = self._frame(asked.variant, form, bearer, has_numbers=has_numbers)
        tenant = binding.direct.tenant
        values = sent.values(tenant, asked.values, () if bearer is None else bearer.values)
        return sent.read(await binding.direct.fetch(sent.text, values))

    def found(self, documents: list[str]) -> list[str]:
        """The documents. Raises NotFound if the statement is a `:one` and there are none."""
        if not documents and self.statement.kind == "one":
            raise NotFound(missing(self.noun))
        return documents

    def compared(self, documents: Sequence[str]) -> list[str]:
        """The documents. The first ones in a process are parsed and written again by pydantic, and must be the same texts.

        They are, because the checks have proved the columns. If they are not, this is logged, and from now on the rows of this
        statement are not rendered. Raises NotDirect then.
        """
        if documents and not self._has_compared and self.model is not None:
            try:
                is_alike = all(
                    self.model.model_validate_json(each, strict=True).model_dump_json() == each for each in documents
                )
            except ValidationError:
                is_alike = False
            if not is_alike:
                self.can_render = False
                log.error("rendered_differently", statement=self.statement.label)
                raise NotDirect
            self._has_compared = True
        return list(documents)

    def _frame(self, variant: Variant, form: Form, bearer: ReadCall | None, *, has_numbers: bool) -> Frame:
        key = (variant.text, form, bearer and bearer.variant.text, has_numbers)
        if (found := self._frames.get(key)) is None:
            looked_up = None
            if bearer is not None and bearer.method.model is not None:
                looked_up = bearer.variant, len(bearer.method.model.model_fields)
            found = self._frames[key] = frame(
                variant, form, model=self.model, bearer=looked_up, has_numbers=has_numbers
            )
        return found

    async def _uncached(self, asked: ReadCall) -> Any:
        if asked.is_direct:
            with contextlib.suppress(NotDirect):
                framed = await self._send(asked, "rows", has_numbers=False)
                return self.shape(framed.answer, asked.binding)
        return await self._ask(asked.binding, asked.variant.text, asked.values)

    async def _fill(self, cache: CachedReads, asked: ReadCall, reading: Reading) -> tuple[Stamp, Rows]:
        """Read the rows for the cache, with the commit numbers of their snapshot."""
        asked_at = monotonic()
        numbers, rows = await self.observed(asked.binding, self._stamped(cache, asked), count=lambda each: len(each[1]))
        return stamp(numbers, reading.read_at(asked_at)), rows

    async def _stamped(self, cache: CachedReads, asked: ReadCall) -> tuple[tuple[int, int, int] | None, Rows]:
        if asked.is_direct:
            with contextlib.suppress(NotDirect):
                framed = await self._send(asked, "rows", has_numbers=True)
                return framed.stamp, framed.answer
        return await cache.stamped(asked.binding, asked.variant, asked.values)

    async def _fill_documents(self, asked: ReadCall, reading: Reading) -> tuple[Stamp, Rows]:
        asked_at = monotonic()
        framed = await self.send_observed(asked, "json", has_numbers=True)
        documents = self.compared(framed.answer)
        return stamp(framed.stamp, reading.read_at(asked_at)), [{_DOCUMENT: each} for each in documents]
