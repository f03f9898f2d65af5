"""Either lock alone suffices: the policies without the statements' tenant predicates, the predicates without policies.

Every statement of scope tenant is aimed, in all its variants, at the keys of tenant B while A is bound. Observed in the
same transaction as superuser: whether a row of B was answered, and whether one was touched, were it to no effect.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from arranging.tenancy_rows import LOG, Arranged, arrange, cloned
from service import files
from service.embedded.server import Server
from service.statements import query_files
from service.statements.lexer import Kind, scan
from service.statements.statement import TENANT_PARAMETER, Statement, Variant

STATEMENTS = {
    f"{path.stem}.{statement.name}": statement
    for path in sorted(files.sql("queries").glob("*.sql"))
    for statement in query_files.of_aggregate(path.stem).statements.values()
}
OF_TENANT = [name for name, statement in STATEMENTS.items() if statement.scope == "tenant"]
OF_PLATFORM = [name for name, statement in STATEMENTS.items() if statement.scope == "platform"]
BY_NAME = {
    "after_created_at": datetime(2200, 1, 1, tzinfo=UTC),
    "after_id": UUID(int=2**128 - 1),
    "after_number": 2**62,
    "attempts": 5,
    "budget": 1000,
    "company_type": "llp",
    "gender": "other",
    "keep": UUID(int=0),
    "limit": 100,
    "most": 3,
}
BY_TYPE = {
    "bool": True, "bytea": b"\0" * 32, "date": date(2026, 1, 1), "inet": "192.0.2.1", "int4": 1, "int8": 1,
    "interval": timedelta(hours=1), "jsonb": "{}", "numeric": 1, "text": "text",
    "timestamptz": datetime(2100, 1, 1, tzinfo=UTC), "uuid": UUID(int=0), "varchar": "text", "xid8": 1,
}  # fmt: skip
CHECKS_INSIDE = {
    "log.prune": "app.prune_log compares the tenant with the bound one and runs with the owner's rights",
    "api_keys.prune": "prune_api_keys does so too",
    "sign_in_failures.prune": "prune_sign_in_failures does so too, and the policies hold for its owner",
    "tenants.prune_deleted": "prune_deleted as well",
}
"""Statements without a predicate: calls of functions that the serving role has to hand over to, with their lock inside."""
AIMS = """
INSERT INTO contents (tenant_id, campaign_id, kind, title, deleted_at)
SELECT DISTINCT ON (tenant_id) tenant_id, campaign_id, kind, 'Deleted', now() - interval '1 year' FROM contents;
UPDATE brands SET company_type = 'llp';
INSERT INTO sessions (tenant_id, user_id, token_hash, token_mac, ip, expires_at)
SELECT tenant_id, id, sha256(email_index), sha256('mac'), '192.0.2.1', '2100-01-01' FROM users;
UPDATE idempotency_keys SET answer = '\\x01' || sha256(fingerprint);
INSERT INTO api_keys (tenant_id, name, role, key_hash, key_mac, created_by, revoked_at)
SELECT tenant_id, 'Ended', role, sha256(key_hash), sha256('mac'), created_by, '2000-01-01' FROM api_keys;
UPDATE app.commits SET at = at - interval '2 years', actor_id = tenant_id, request_id = 'of ' || tenant_id;
UPDATE sign_in_failures SET created_at = created_at - interval '2 years';
INSERT INTO otps (tenant_id, phone_index, code_hash, created_at, expires_at)
SELECT tenant_id, phone_index, code_hash, '2000-01-01', '2000-01-02' FROM otps;
INSERT INTO sessions (tenant_id, user_id, token_hash, created_at, expires_at)
SELECT tenant_id, user_id, sha256(token_hash), '2000-01-01', '2000-01-02' FROM sessions;
INSERT INTO change_tickets (tenant_id, token_hash, bearer_kind, bearer_hash, created_at, expires_at)
SELECT tenant_id, sha256(token_hash), bearer_kind, bearer_hash, '2000-01-01', '2000-01-02' FROM change_tickets;
INSERT INTO idempotency_keys (tenant_id, caller_id, key, fingerprint, created_at, expires_at)
SELECT tenant_id, caller_id, 'old', fingerprint, '2000-01-01', '2000-01-02' FROM idempotency_keys;
"""
"""What there must be of both tenants for an attack to have an effect: rows that ended long ago, values that may be null."""


@dataclass(frozen=True)
class Answer:
    """What a statement answered (or its SQLSTATE), and whether rows of B were shown or touched."""

    rows: list[dict[str, str]] | str
    showed_b: bool
    touched_b: bool


class Attacker:
    """Runs statements bound to A with the keys of B; `secrets` are all texts that only rows of B hold."""

    def __init__(self, arranged: Arranged, connection: Any) -> None:
        self.arranged, self.connection = arranged, connection
        self.a, self.b = UUID(arranged.a), UUID(arranged.b)
        self._print = " UNION ALL ".join(
            f"SELECT '{name} ' || ctid::text || row_to_json(t)::text FROM {name} AS t WHERE {table.tenant} = $1"
            for name, table in arranged.tables.items()
        )

    async def look(self) -> None:
        self.b_rows = await self.connection.fetch(self._print, self.b)
        texts = {tenant: await self._texts(tenant) for tenant in (self.a, self.b)}
        self.secrets = texts[self.b] - texts[self.a]

    async def _texts(self, tenant: UUID) -> set[str]:
        found: set[str] = set()
        for name, table in self.arranged.tables.items():
            for row in await self.connection.fetch(f"SELECT * FROM {name} WHERE {table.tenant} = $1", tenant):
                found |= {_text(value) for value in row.values() if isinstance(value, str | bytes | UUID)}
        return {text for text in found if len(text) > 8}

    async def run(
        self, name: str, variant: Variant, *, text: str, role: str, tenant: UUID, bound: UUID | None = None
    ) -> Answer:
        """Run `text` in the place of the variant's own; `tenant` is the value of :tenant_id, `bound` is A if not given."""
        await self.connection.execute(f"BEGIN; SET LOCAL app.tenant_id = '{bound or self.a}'; SET LOCAL ROLE {role}")
        try:
            arguments = await self._arguments(name, variant, text, tenant)
            rows = [{k: _text(v) for k, v in row.items()} for row in await self.connection.fetch(text, *arguments)]
            await self.connection.execute("RESET ROLE")
            touched = await self.connection.fetch(self._print, self.b) != self.b_rows
        except asyncpg.PostgresError as error:
            return Answer(error.sqlstate, showed_b=False, touched_b=False)
        finally:
            await self.connection.execute("ROLLBACK")
        # What was given may come back; but an id that was given comes back with its row alone, unless it was inserted.
        given = {_text(value) for value in arguments if _inserts(text) or not isinstance(value, UUID)}
        shown = "\n".join(value for row in rows for value in row.values())
        return Answer(rows, any(secret in shown for secret in self.secrets - given), touched)

    async def _arguments(self, name: str, variant: Variant, text: str, tenant: UUID) -> Sequence[object]:
        types = [each.name for each in (await self.connection.prepare(text)).get_parameters()]
        row = {**self.keys.get(name.partition(".")[0], {}), **self.special.get(name, {})}
        compared = _compared(text)
        found: list[object] = []
        for parameter, type_name in zip(variant.parameters, types, strict=True):
            element = type_name.removeprefix("_").removesuffix("[]")
            if parameter == TENANT_PARAMETER:
                found.append(tenant)
            elif parameter == "given":
                found.append(list(variant.parameters))
            else:
                names = (parameter, parameter.removesuffix("s"), compared.get(variant.parameters.index(parameter) + 1))
                values = [BY_NAME.get(parameter), *(row.get(str(name)) for name in names), BY_TYPE[element]]
                value = next(value for value in values if value is not None)
                found.append(value if element == type_name else [value])
        return found

    async def learn(self) -> None:
        """B's row of every aggregate, with the columns of the rows that it refers to, and the beginning of its name."""
        self.keys: dict[str, dict[str, object]] = {}
        for name, table in self.arranged.tables.items():
            if name in LOG:
                continue
            where, key = table.where(self.arranged.rows[self.arranged.b][name])
            row = dict(await self.connection.fetchrow(f"SELECT * FROM {name} {where}", *key))
            for column, target in table.references.items():
                row = {**await self._row(target, row[column]), **row}
            self.keys[name.partition(".")[2]] = {**row, "q": str(row.get("search_name", ""))[:3]}
        self.keys["log"] = {**await self._row("app.commits", self.b), **await self._row("app.changes", self.b)}
        await self._attach_niches()

    async def _attach_niches(self) -> None:
        """A niche that B's brand and influencer have, for the statements that take one away; the others give a new one."""
        attached = await self.connection.fetchval("SELECT id FROM app.niches")
        fresh = await self.connection.fetchval("INSERT INTO app.niches (name) VALUES ('fresh') RETURNING id")
        self.special: dict[str, dict[str, object]] = {}
        for noun in ("brand", "influencer"):
            row = self.keys[f"{noun}s"]
            row["niche_id"] = fresh
            self.special[f"{noun}s.detach_niche"] = {"niche_id": attached}
            await self.connection.execute(
                f"INSERT INTO {noun}_niches (tenant_id, {noun}_id, niche_id) VALUES ($1, $2, $3)",
                self.b, row["id"], attached,
            )  # fmt: skip

    async def _row(self, name: str, id: UUID) -> Any:
        key = "tenant_id" if name in LOG else "id"
        return await self.connection.fetchrow(f"SELECT * FROM {name} WHERE {key} = $1 LIMIT 1", id)


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _compared(text: str) -> dict[int, str]:
    """By the number of a parameter, the column that it is compared to."""
    return {int(number): column for column, number in re.findall(r"(\w+) = \$(\d+)", text)}


def _inserts(text: str) -> bool:
    return bool(re.match(r"\s*(WITH created AS \(\s*)?INSERT\b", text.partition("*/")[2]))


def without_predicates(variant: Variant) -> tuple[str, int]:
    """The text with every `… = $tenant` made true, and how often the tenant stands elsewhere."""
    tenant = f"${variant.parameters.index(TENANT_PARAMETER) + 1}"
    pieces: list[str] = []
    solid: list[int] = []
    others = 0
    for lexeme in scan(variant.text):
        text = lexeme.text
        if text == tenant:
            before = [pieces[position] for position in solid[-4:]]
            if before[-1] == "=" and before[-2] in (TENANT_PARAMETER, "id"):
                del pieces[solid[-4 if before[-3] == "." else -2] :]
                text = f"{tenant}::uuid IS NOT NULL"
            else:
                others += 1
        if lexeme.kind not in (Kind.SPACE, Kind.COMMENT):
            solid = [position for position in solid if position < len(pieces)] + [len(pieces)]
        pieces.append(text)
    return "".join(pieces), others


@pytest.fixture(scope="module")
async def attacker(server: Server, template: Any) -> AsyncIterator[Attacker]:
    async with cloned(server, template) as url:
        arranged = await arrange(url)
        connection = await asyncpg.connect(url, server_settings={"search_path": "quarry, pg_temp"})
        await connection.execute(AIMS)
        attacker = Attacker(arranged, connection)
        await attacker.learn()
        await attacker.look()
        yield attacker
        await connection.close()


def variants(name: str) -> list[Variant]:
    return list(STATEMENTS[name].variants.values())


async def both_locks(attacker: Attacker, name: str, variant: Variant) -> Answer:
    return await attacker.run(name, variant, text=variant.text, role="quarry_app", tenant=attacker.a)


def same(one: Answer, other: Answer, statement: Statement) -> bool:
    """Equal answers, but for the time of an update; a row that is new each time has an id of its own, too."""
    if isinstance(one.rows, str) or isinstance(other.rows, str):
        return one.rows == other.rows
    if _inserts(next(iter(statement.variants.values())).text):
        return len(one.rows) == len(other.rows)
    return [{**row, "updated_at": ""} for row in one.rows] == [{**row, "updated_at": ""} for row in other.rows]


@pytest.mark.parametrize("name", OF_TENANT)
async def test_the_policies_alone_keep_tenants_apart(attacker: Attacker, name: str) -> None:
    for variant in variants(name):
        text, _ = without_predicates(variant)
        answer = await attacker.run(name, variant, text=text, role="quarry_app", tenant=attacker.a)
        assert not answer.showed_b
        assert not answer.touched_b
        both = await both_locks(attacker, name, variant)
        assert same(answer, both, STATEMENTS[name]), (answer, both, text)


@pytest.mark.parametrize("name", OF_TENANT)
async def test_the_predicates_alone_keep_tenants_apart(attacker: Attacker, name: str) -> None:
    for variant in variants(name):
        answer = await attacker.run(name, variant, text=variant.text, role="postgres", tenant=attacker.a)
        assert not answer.showed_b
        assert not answer.touched_b
        assert same(answer, await both_locks(attacker, name, variant), STATEMENTS[name])


@pytest.mark.parametrize("name", OF_TENANT)
async def test_naming_another_tenant_than_the_bound_one_answers_nothing_of_it(attacker: Attacker, name: str) -> None:
    for variant in variants(name):
        answer = await attacker.run(name, variant, text=variant.text, role="quarry_app", tenant=attacker.b)
        assert not answer.showed_b
        assert not answer.touched_b
        if _inserts(variant.text):
            assert answer.rows in ([], "42501", "23503")  # refused by the policy, or nothing of it found


@pytest.mark.parametrize("name", CHECKS_INSIDE)
async def test_a_function_that_is_given_a_tenant_serves_the_bound_one_alone(attacker: Attacker, name: str) -> None:
    for variant in variants(name):
        other = await attacker.run(name, variant, text=variant.text, role="postgres", tenant=attacker.b)
        assert ([list(row.values()) for row in other.rows], other.touched_b) == ([["0"]], False)
        own = await attacker.run(name, variant, text=variant.text, role="postgres", tenant=attacker.b, bound=attacker.b)
        assert own.touched_b


@pytest.mark.parametrize("name", [name for name in OF_TENANT if name not in CHECKS_INSIDE])
async def test_without_either_lock_the_attack_succeeds(attacker: Attacker, name: str) -> None:
    """Which shows that the tests above aim at something. Only a foreign key may still be in the way."""
    for variant in variants(name):
        text, values = without_predicates(variant)
        if values and _inserts(variant.text) and "::uuid IS NOT NULL" not in text:
            continue  # INSERT … VALUES looks for nothing
        answer = await attacker.run(name, variant, text=text, role="postgres", tenant=attacker.a)
        both = await both_locks(attacker, name, variant)
        is_hit = answer.showed_b or answer.touched_b or not same(answer, both, STATEMENTS[name])
        assert is_hit or answer.rows == "23503", (variant.text, answer)


@pytest.mark.parametrize("name", OF_TENANT)
def test_the_tenant_is_a_predicate_or_an_inserted_value(name: str) -> None:
    for variant in variants(name):
        text, values = without_predicates(variant)
        is_locked = values <= variant.text.count("INSERT INTO") and (values or "::uuid IS NOT NULL" in text)
        assert is_locked != (name in CHECKS_INSIDE)


@pytest.mark.parametrize("name", OF_PLATFORM)
async def test_a_platform_statement_answers_the_serving_role_nothing_of_another_tenant(
    attacker: Attacker, name: str
) -> None:
    for variant in variants(name):
        answer = await attacker.run(name, variant, text=variant.text, role="quarry_app", tenant=uuid4())
        assert not answer.showed_b
        assert not answer.touched_b
