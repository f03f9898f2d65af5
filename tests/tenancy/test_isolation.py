"""Every tenant table × every verb × whose row: what the serving role may do, and what it is told when it may not.

The rules are the tables below, not what the code does. A statement that aims at another tenant's row must come to the
very same as one that aims at a row nobody has: the same tag, or the same SQLSTATE, message, detail and constraint.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from arranging.tenancy_rows import APP, Arranged, Outcome, Table, Values, bound, outcome, tables
from service.settings.settings import Settings

GRANTS = {
    # s(elect) i(nsert) u(pdate) d(elete)
    "app.tenants": "su",
    "app.schemas": "s",
    "app.heads": "s",
    "app.commits": "s",
    "app.changes": "s",
    "app.cursors": "siu",
    "quarry.users": "siu",
    "quarry.sessions": "siud",
    "quarry.api_keys": "siu",
    "quarry.sign_in_failures": "si",
    "quarry.influencers": "siu",
    "quarry.brands": "siu",
    "quarry.influencer_niches": "sid",
    "quarry.brand_niches": "sid",
    "quarry.campaigns": "siud",
    "quarry.contents": "siu",
    "quarry.campaign_influencers": "siud",
    "quarry.otps": "siud",
    "quarry.idempotency_keys": "siud",
    "quarry.change_tickets": "sid",
}
"""A new tenant table is not covered before it stands here."""

REFUSED, UNBOUND, TAKEN, NO_SUCH_PARENT = "42501", "TN001", "23505", "23503"

RULES = {
    # verb: the grants it needs, and what it comes to on the bound tenant's row, on another's, and unbound
    "select": ("s", "SELECT 1", "SELECT 0", UNBOUND),
    "insert": ("i", "INSERT 0 1", REFUSED, UNBOUND),
    "update": ("u", "UPDATE 1", "UPDATE 0", UNBOUND),
    "delete": ("d", "DELETE 1", "DELETE 0", UNBOUND),
    "move": ("never", REFUSED, REFUSED, REFUSED),
    "truncate": ("never", REFUSED, REFUSED, REFUSED),
    "refer": ("i", "INSERT 0 1", NO_SUCH_PARENT, UNBOUND),
    "probe": ("i", TAKEN, "INSERT 0 1", UNBOUND),
    "upsert": ("i", "INSERT 0 0", "INSERT 0 1", UNBOUND),
    "overwrite": ("iu", "INSERT 0 1", REFUSED, UNBOUND),
}
BINDINGS = ("own", "other", "unbound")

EXCEPTIONS = {
    # The trigger that asks for a live owner runs before the policy's check, as the caller, and sees no such user.
    ("quarry.campaigns", "insert", "other"): NO_SUCH_PARENT,
    ("quarry.campaigns", "overwrite", "other"): NO_SUCH_PARENT,
}


@pytest.fixture(scope="module", autouse=True)
async def chosen_ids(arranged: Arranged) -> None:
    """Every column may be read here and ids chosen, as no statement does: policies are to answer, not privileges of columns."""
    connection = await asyncpg.connect(arranged.url)
    for name, table in arranged.tables.items():
        if "i" in GRANTS[name]:
            ids = ", INSERT (id)" if "id" in table.types else ""
            await connection.execute(f"GRANT SELECT{ids} ON {name} TO quarry_app")
    await connection.close()


def expected(table: str, verb: str, binding: str) -> str:
    needed, *outcomes = RULES[verb]
    if not set(needed) <= set(GRANTS[table]):
        return REFUSED
    return EXCEPTIONS.get((table, verb, binding)) or outcomes[BINDINGS.index(binding)]


class Attempt:
    """One verb on one table; `row` is the row aimed at, and every method answers all that it came to."""

    def __init__(self, arranged: Arranged, table: Table, connection: Any, row: Values) -> None:
        self.table, self.connection, self.row = table, connection, row
        self.spare = arranged.spare[arranged.a][table.name]

    async def run(self, text: str, arguments: list[str]) -> list[Outcome]:
        return [await outcome(self.connection, text, arguments)]

    async def select(self) -> list[Outcome]:
        where, arguments = self.table.where(self.row)
        return await self.run(f"SELECT FROM {self.table.name} {where}", arguments)

    async def insert(self) -> list[Outcome]:
        return await self.run(*self.table.insert(self.row))

    async def update(self) -> list[Outcome]:
        where, arguments = self.table.where(self.row)
        return await self.run(f"UPDATE {self.table.name} SET {await self.changeable()} {where}", arguments)

    async def delete(self) -> list[Outcome]:
        where, arguments = self.table.where(self.row)
        return await self.run(f"DELETE FROM {self.table.name} {where}", arguments)

    async def move(self) -> list[Outcome]:
        where, arguments = self.table.where(self.row)
        return await self.run(f"UPDATE {self.table.name} SET {self.table.tenant} = '{uuid4()}' {where}", arguments)

    async def truncate(self) -> list[Outcome]:
        return await self.run(f"TRUNCATE {self.table.name}", [])

    async def refer(self) -> list[Outcome]:
        """A new own row whose parents are the row's."""
        found = []
        for column, target in self.table.references.items():
            if target != "app.niches":
                found += await self.again(*self.table.insert({**self.spare, column: self.row[column]}))
        return found

    async def probe(self) -> list[Outcome]:
        """A new own row with the row's values in one unique index after the other."""
        return await self.each_key("")

    async def upsert(self) -> list[Outcome]:
        return await self.each_key("ON CONFLICT DO NOTHING")

    async def overwrite(self) -> list[Outcome]:
        conflict = f"ON CONFLICT ({', '.join(self.table.primary)}) DO UPDATE SET {await self.changeable()}"
        return await self.run(*self.table.insert(self.row, conflict))

    async def each_key(self, conflict: str) -> list[Outcome]:
        found = []
        for key in self.table.keys:
            columns = set(key) - {self.table.tenant}
            # A key of references can't be had without the parents: the test below is about those.
            if not columns & set(self.table.references):
                taken = {column: self.row[column] for column in columns}
                found += await self.again(*self.table.insert({**self.spare, **taken}, conflict))
        return found

    async def again(self, text: str, arguments: list[str]) -> list[Outcome]:
        """Several statements in one transaction, each undone."""
        await self.connection.execute("SAVEPOINT attempt")
        found = await self.run(text, arguments)
        await self.connection.execute("ROLLBACK TO attempt")
        return found

    async def changeable(self) -> str:
        """`column = column` for a column that the serving role may update, or for any when it may update none."""
        column = await self.connection.fetchval(
            "SELECT attname::text FROM pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped"
            " ORDER BY NOT has_column_privilege(attrelid, attnum, 'UPDATE'), attnum DESC LIMIT 1",
            self.table.name,
        )
        return f"{column} = {self.table.name.partition('.')[2]}.{column}"


async def attempt(
    arranged: Arranged, app: Any, name: str, verb: str, *, tenant: str | None, row: Values
) -> list[Outcome]:
    async with bound(app, tenant):
        return await getattr(Attempt(arranged, arranged.tables[name], app, row), verb)()


def aimed_at(arranged: Arranged, name: str, verb: str, tenant: str) -> Values:
    """The tenant's row; for what must be new, a row that is not there yet although its parents are."""
    return (arranged.spare if verb in ("insert", "refer") else arranged.rows)[tenant][name]


def nobody(arranged: Arranged, name: str) -> Values:
    """A row of a tenant that does not exist, with parents that do not exist."""
    table = arranged.tables[name]
    return table.values(str(uuid4()), {column: str(uuid4()) for column in table.references})


def applies(arranged: Arranged, name: str, verb: str) -> bool:
    return verb != "refer" or bool(set(arranged.tables[name].references.values()) - {"app.niches"})


async def test_every_tenant_table_is_covered(arranged: Arranged) -> None:
    assert set(arranged.tables) == set(GRANTS)


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("verb", RULES)
@pytest.mark.parametrize("name", GRANTS)
async def test_a_verb_comes_to_what_the_rules_say(
    arranged: Arranged, app: Any, name: str, verb: str, binding: str
) -> None:
    tenant = None if binding == "unbound" else arranged.a
    row = aimed_at(arranged, name, verb, arranged.b if binding == "other" else arranged.a)
    found = await attempt(arranged, app, name, verb, tenant=tenant, row=row)
    assert {each.code for each in found} == (
        {expected(name, verb, binding)} if applies(arranged, name, verb) else set()
    )
    if binding == "other":
        assert found == await attempt(arranged, app, name, verb, tenant=tenant, row=nobody(arranged, name))


@pytest.mark.parametrize("name", GRANTS)
async def test_a_key_made_of_references_is_not_seen_to_be_taken_elsewhere(
    arranged: Arranged, app: Any, name: str
) -> None:
    table, seen = arranged.tables[name], []
    for row in (arranged.rows[arranged.b][name], nobody(arranged, name)):
        async with bound(app, arranged.a):
            parents = {c: row[c] for c, target in table.references.items() if target != "app.niches"}
            seen.append(await outcome(app, *table.insert({**arranged.spare[arranged.a][name], **parents})))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", GRANTS)
async def test_a_select_without_a_predicate_answers_own_rows_alone(arranged: Arranged, app: Any, name: str) -> None:
    table = arranged.tables[name]
    for tenant in (arranged.a, arranged.b):
        async with bound(app, tenant):
            assert await app.fetch(f"SELECT DISTINCT {table.tenant}::text FROM {name}") == [(tenant,)]


async def test_an_unbound_select_is_refused_on_empty_tables_too(settings: Settings, superuser: Any) -> None:
    superuser.commit()
    superuser.autocommit = True
    superuser.execute("VACUUM ANALYZE")  # the planner then knows that there is nothing, and asks no index
    connection = await asyncpg.connect(settings.serving_url(), **APP)
    try:
        for table in (await tables(connection)).values():
            async with bound(connection, None):
                assert (await outcome(connection, f"SELECT FROM {table.name}", [])).code == UNBOUND
            text = f"SELECT FROM {table.name} WHERE {table.tenant} = $1"
            for _ in range(8):  # until the statement has a plan for good, made while a tenant was bound
                async with bound(connection, str(uuid4())):
                    assert await connection.fetch(text, uuid4()) == []
            async with bound(connection, None):
                assert (await outcome(connection, text, [uuid4()])).code == UNBOUND
    finally:
        await connection.close()


async def test_an_empty_or_malformed_tenant_is_no_tenant(app: Any) -> None:
    async with bound(app, ""):
        assert (await outcome(app, "SELECT FROM users", [])).code == UNBOUND
    async with bound(app, "not-a-uuid"):
        assert (await outcome(app, "SELECT FROM users", [])).code == "22P02"


async def test_copy_into_a_tenant_table_is_refused(arranged: Arranged, app: Any) -> None:
    async with bound(app, arranged.a):
        with pytest.raises(asyncpg.FeatureNotSupportedError):
            await app.copy_records_to_table("otps", records=[(arranged.b,)], columns=["tenant_id"])
