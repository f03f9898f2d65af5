"""Every migration is checked; and each defect, planted in a migration after the last one, is found where it is."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from string import Template
from typing import Any

import asyncpg
import pytest

from service import files
from service.addresses import Address
from service.checks.findings import Finding
from service.checks.migrations import catalog_text, scripts
from service.checks.migrations.suite import Checked, check
from service.database import single
from service.embedded.server import Server
from service.errors import OperatorError
from service.schema import migration_files, migrations, provisioning
from service.schema.migration_errors import MigrationError
from service.settings.settings import Settings

Planted = Callable[..., Awaitable[Checked]]

ANOTHER = "ALTER TABLE contents DROP CONSTRAINT contents_kind_check, ADD CONSTRAINT contents_kind_check"
PATIENT = "SET LOCAL lock_timeout = '4s';\n"
CONCURRENTLY = "-- An index.\n-- transactional: false\nSET lock_timeout = '4s';\n"
NEEDED = """
SELECT c.oid::regclass::text AS name, array_agg(a.attname::text) AS columns, array_agg(format_type(a.atttypid, NULL)) AS types
  FROM pg_class AS c
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
   AND (NOT a.atthasdef OR a.attname = 'tenant_id')
 WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('app', 'quarry') AND c.relname !~ 'yoyo|checksums|installation'
 GROUP BY c.oid
"""
VALUES = {
    "uuid": "gen_random_uuid()", "text": "'lower.case'", "bytea": f"'\\x01{'00' * 31}'", "xid8": "'1'", "bigint": "1",
    "integer": "1", "timestamp with time zone": "'2100-01-01'", "inet": "'10.0.0.1'",
}  # fmt: skip
LITERALS = {
    "consumer": "'reader'", "operation": "'insert'", "role": "'member'", "bearer_kind": "'session'", "kind": "'reel'",
    "name": "'plain'",
}  # fmt: skip


async def fill(connection: Any) -> None:
    """A row in every table; installation has its own."""
    await connection.execute("SET LOCAL session_replication_role = replica")
    for name, columns, types in await connection.fetch(NEEDED):
        values = [LITERALS.get(column, VALUES[type]) for column, type in zip(columns, types, strict=True)]
        row = f"({', '.join(columns)}) VALUES ({', '.join(values)})"
        await connection.execute(f"INSERT INTO {name} {row} ON CONFLICT DO NOTHING")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations of tenant tables, to which a test adds its own."""
    shutil.copytree(migration_files.sources()[0].parent, tmp_path / "migrations")
    return tmp_path / "migrations" / "tenant"


@pytest.fixture
def planted(settings: Settings, folder: Path) -> Planted:
    """Adds a migration and checks it: `await planted("CREATE …", "DROP …")`. `files` are others, by their names."""

    async def run(up: str, down: str | None, *, fill: Any = fill, **files: str) -> Checked:
        nothing_accepted = folder / "accepted.txt"
        nothing_accepted.touch()
        for name, text in {"0090.plant": up, "0090.plant.rollback": down, **files}.items():
            if text is not None:
                (folder / f"{name}.sql").write_text(text)
        folders = (folder.parent / "shared", folder)
        return await check(
            settings.administration(), "quarry", folders, fill=fill, since="0090.plant", accepted=nothing_accepted
        )

    return run


def only(checked: Checked) -> Finding:
    """The finding that there is."""
    [finding] = checked.findings
    return finding


def placed(finding: Finding) -> tuple[str, str, int]:
    """Its code, file and line."""
    return finding.code, finding.span.path.name, finding.span.line


@pytest.fixture
async def empty(server: Server) -> AsyncIterator[Address]:
    """A prepared database without any migration."""
    administrator = await asyncpg.connect(server.url())
    await administrator.execute("CREATE DATABASE quarry_stairway")
    address = Address(server.url(database="quarry_stairway"))
    try:
        await provisioning.prepare_database(address)
        yield address
    finally:
        await administrator.execute("DROP DATABASE quarry_stairway WITH (FORCE)")
        await administrator.close()


async def test_every_migration_goes_back_and_forth_and_lets_others_work(empty: Address, settings: Settings) -> None:
    checked = await check(empty, "quarry", fill=fill)
    assert checked.findings == []
    assert {(finding.subject, finding.code) for finding, _ in checked.accepted} == {
        ("0005.keep-the-audit", "index-not-concurrent"),
        ("0008.seal-user-emails", "table-rewritten"),
        ("0008.seal-user-emails", "index-not-concurrent"),
        ("0010.guard-references", "index-not-concurrent"),
        ("0004.seal-personal-data", "check-looks-at-rows"),
        ("0005.keep-the-audit", "check-looks-at-rows"),
        ("0006.follow-the-log", "not-null-looks-at-rows"),
        ("0008.seal-user-emails", "check-looks-at-rows"),
        ("0008.seal-user-emails", "not-null-looks-at-rows"),
        ("0017.add-token-macs", "check-looks-at-rows"),
        ("0005.keep-the-audit", "served-release-refused"),
        ("0006.follow-the-log", "served-release-refused"),
        ("0008.seal-user-emails", "served-release-refused"),
        ("0015.seal-hashes", "served-release-refused"),
        ("0017.add-token-macs", "served-release-refused"),
    }
    assert all(reason for _, reason in checked.accepted)
    applied = [each.id for each in migrations.status(settings.address("quarry_owner"), "quarry")]
    assert list(dict.fromkeys(step.migration for step in checked.steps)) == applied


async def test_a_way_back_that_forgets_an_index_is_told_by_its_name(planted: Planted) -> None:
    up = (
        PATIENT
        + "-- accepts: index-not-concurrent because it is a test\nCREATE INDEX users_role_idx ON users (role);\n"
    )
    finding = only(await planted(up, PATIENT + "LOCK TABLE\n  users;\n"))
    assert placed(finding) == ("way-back-differs", "0090.plant.rollback.sql", 3)
    assert finding.message == "the way back leaves index quarry.users_role_idx."
    assert finding.proved == "the catalogs differ: index quarry.users_role_idx is left."
    assert finding.remedy == "Let 0090.plant.rollback.sql drop it."


async def test_a_way_back_that_leaves_a_table_names_the_table_and_counts_the_rest(planted: Planted) -> None:
    finding = only(await planted("CREATE TABLE app.notes (\n    tenant_id uuid\n);\nDROP TABLE app.notes;\n"
                                 "CREATE TYPE mood AS ENUM ('fine');\n", PATIENT))  # fmt: skip
    assert placed(finding) == ("way-back-differs", "0090.plant.rollback.sql", 1)
    assert finding.message == "the way back leaves type quarry.mood."
    assert "grant on type quarry.mood to public is left" in finding.proved


TOLD = {
    "ALTER TABLE otps ALTER COLUMN id DROP DEFAULT": "column quarry.otps.id is changed:",
    'ALTER TABLE otps ADD COLUMN note text COLLATE "C"': "column quarry.otps.note is left",
    "ALTER TABLE otps ALTER COLUMN id SET STATISTICS 10": "column quarry.otps.id is changed:",
    "ALTER TABLE otps DROP CONSTRAINT otps_tenant_id_fkey": "constraint quarry.otps.otps_tenant_id_fkey is lost",
    "DROP INDEX otps_expires_at_idx": "index quarry.otps_expires_at_idx is lost",
    "ALTER TABLE otps CLUSTER ON otps_pkey": "index quarry.otps_pkey is changed:",
    "ALTER TABLE otps NO FORCE ROW LEVEL SECURITY": "table quarry.otps is changed:",
    "ALTER TABLE otps SET (fillfactor = 40)": "table quarry.otps is changed:",
    "ALTER POLICY tenant ON otps WITH CHECK (true)": "policy quarry.otps.tenant is changed:",
    "GRANT UPDATE (created_at) ON otps TO quarry_app": "grant on quarry.otps.created_at to quarry_app is left",
    "REVOKE SELECT ON otps FROM quarry_app": "grant on quarry.otps to quarry_app is changed:",
    "GRANT EXECUTE ON FUNCTION app.raise_epoch() TO PUBLIC": "grant on function app.raise_epoch() to public is left",
    "GRANT CREATE ON SCHEMA app TO quarry_app": "grant on schema app to quarry_app is changed:",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO quarry_platform": (
        "grant on whatever quarry_owner makes (r) in app to quarry_platform is left"
    ),
    "COMMENT ON COLUMN otps.id IS 'Of a code.'": "comment on table column quarry.otps.id is left",
    "COMMENT ON TABLE otps IS 'Codes.'": "comment on table quarry.otps is changed:",
    "CREATE VIEW codes WITH (security_invoker) AS SELECT id FROM otps": "view quarry.codes is left",
    "CREATE MATERIALIZED VIEW codes AS SELECT 1 AS one": "materialized view quarry.codes is left",
    "CREATE SEQUENCE counted": "sequence quarry.counted is left",
    "CREATE TYPE mood AS ENUM ('fine')": "type quarry.mood is left",
    "CREATE TYPE pair AS (a integer, b integer)": "type quarry.pair is left",
    "CREATE DOMAIN short AS text CHECK (length(VALUE) < 9)": "type quarry.short is left",
    "ALTER FUNCTION record_users() SET enable_sort = off": "function quarry.record_users() is changed:",
    "CREATE AGGREGATE total (integer) (sfunc = int4pl, stype = integer)": "function quarry.total(integer) is left",
    "ALTER TABLE users DISABLE TRIGGER keep_an_owner": "trigger quarry.users.keep_an_owner is changed:",
    "CREATE RULE quiet AS ON DELETE TO otps DO INSTEAD NOTHING": "rule quarry.otps.quiet is left",
    "CREATE STATISTICS counted ON tenant_id, id FROM otps": "statistics object quarry.counted is left",
    "CREATE SCHEMA other": "schema other is left",
    "ALTER TABLE yoyo_lock ADD COLUMN note text": "",
    "SELECT 1": "",
}


async def test_the_catalog_s_text_tells_every_kind_of_difference(settings: Settings) -> None:
    connection = await single.connect(settings.address("quarry_owner"))
    await connection.execute("SET search_path = quarry")
    before, found = await catalog_text.read(connection), {}
    for statement, told in TOLD.items():
        await connection.execute(f"BEGIN; {statement}")
        differences = catalog_text.differences(before, await catalog_text.read(connection))
        found[statement] = str(differences[0])[: len(told)] if differences else ""
        await connection.execute("ROLLBACK")
    await connection.close()
    assert found == TOLD


async def test_a_way_back_that_fails_says_what_the_server_says(planted: Planted) -> None:
    finding = only(await planted(PATIENT + "CREATE SEQUENCE counted;", PATIENT + "DROP SEQUENCE\n    uncounted;\n"))
    assert placed(finding) == ("way-back-fails", "0090.plant.rollback.sql", 2)
    assert finding.message == 'the server refuses this: sequence "uncounted" does not exist.'


async def test_a_migration_without_a_way_back_is_found(planted: Planted) -> None:
    finding = only(await planted(PATIENT + "CREATE SEQUENCE counted;", None))
    assert placed(finding) == ("way-back-missing", "0090.plant.sql", 1)
    assert finding.remedy == "Write 0090.plant.rollback.sql."


async def test_a_migration_that_fails_ends_the_check_and_says_so(planted: Planted) -> None:
    checked = await planted(PATIENT + "\nDROP TABLE nothing;", "", **{"0091.later": "SELECT 1;"})
    assert [placed(finding) for finding in checked.findings] == [
        ("migration-fails", "0090.plant.sql", 3),
        ("later-unchecked", "0090.plant.sql", 1),
    ]


async def test_a_migration_that_can_not_be_applied_again_is_found(planted: Planted) -> None:
    checked = await planted(PATIENT + "INSERT INTO app.niches (name) VALUES ('Planted');", PATIENT)
    assert [placed(finding) for finding in checked.findings] == [
        ("up-again-fails", "0090.plant.sql", 2),
        ("later-unchecked", "0090.plant.sql", 1),
    ]


async def test_a_migration_that_is_another_one_the_second_time_is_found(planted: Planted) -> None:
    up = (
        "DO $$ BEGIN EXECUTE format('CREATE SEQUENCE counted_%s', (SELECT count(*) FROM app.niches WHERE name = 'Planted'));"
        " INSERT INTO app.niches (name) VALUES ('Planted') ON CONFLICT DO NOTHING; END $$;"
    )
    finding = only(await planted(PATIENT + up, PATIENT + "DROP SEQUENCE IF EXISTS counted_0, counted_1;"))
    assert placed(finding) == ("up-again-differs", "0090.plant.sql", 1)
    assert finding.message == "going back and up again loses sequence quarry.counted_0."


async def test_a_rewritten_table_is_found(planted: Planted) -> None:
    checked = await planted(
        PATIENT + "SELECT 'a;b';\n\nALTER TABLE app.commits ALTER COLUMN request_id TYPE varchar(99);\n",
        PATIENT + "ALTER TABLE app.commits ALTER COLUMN request_id TYPE text;",
    )
    finding = only(checked)
    assert placed(finding) == ("table-rewritten", "0090.plant.sql", 4)
    assert finding.message == "this rewrites all rows of app.commits."
    assert finding.remedy.startswith("Add a column, fill it tenant by tenant")


async def test_what_each_statement_locked_can_be_shown(planted: Planted) -> None:
    up = (
        PATIENT
        + "ALTER TABLE otps ALTER COLUMN id SET STATISTICS 10;\n"
        + "LOCK TABLE otps;\nALTER TABLE otps ALTER COLUMN id SET STATISTICS -1;"
    )
    steps = (await planted(up, PATIENT)).steps
    assert [(step.line, step.words[:16], dict(step.locks)) for step in steps] == [
        (1, "SET LOCAL lock_t", {}),
        (2, "ALTER TABLE otps", {"quarry.otps": "ShareUpdateExclusiveLock"}),
        (3, "LOCK TABLE otps;", {"quarry.otps": "AccessExclusiveLock"}),
        (4, "ALTER TABLE otps", {}),
    ]
    assert {step.migration for step in steps} == {"0090.plant"}


async def test_a_lock_that_is_waited_for_without_end_is_found(planted: Planted) -> None:
    finding = only(
        await planted(
            f"ALTER TABLE otps ADD COLUMN note text;\n{PATIENT}", PATIENT + "ALTER TABLE otps DROP COLUMN note;"
        )
    )
    assert placed(finding) == ("lock-timeout-missing", "0090.plant.sql", 1)
    assert finding.message == "this locks quarry.otps, and waits for the lock without end."
    assert finding.proved.startswith("it took AccessExclusiveLock, and lock_timeout was 0.")
    assert finding.remedy == "Write SET LOCAL lock_timeout = '4s'; before it."


async def test_a_new_table_needs_no_patience_and_may_have_indexes(planted: Planted) -> None:
    up = "CREATE TABLE other.notes (id uuid PRIMARY KEY);\nCREATE INDEX notes_idx ON other.notes (id);"
    assert (await planted(f"CREATE SCHEMA other;\n{up}", "DROP SCHEMA other CASCADE;")).findings == []


async def test_an_index_that_is_built_while_writers_wait_is_found(planted: Planted) -> None:
    finding = only(
        await planted(
            PATIENT + "\nCREATE INDEX users_role_idx ON users (tenant_id, role);\n",
            PATIENT + "DROP INDEX users_role_idx;",
        )
    )
    assert placed(finding) == ("index-not-concurrent", "0090.plant.sql", 3)
    assert finding.message == "this builds the index users_role_idx while writers of quarry.users wait."
    assert "-- transactional: false" in finding.remedy


async def test_an_index_that_is_built_concurrently_is_fine(planted: Planted) -> None:
    up = CONCURRENTLY + "CREATE INDEX CONCURRENTLY users_role_idx ON users (tenant_id, role);"
    checked = await planted(up, "DROP INDEX CONCURRENTLY users_role_idx;")
    assert checked.findings == []
    assert [step.line for step in checked.steps] == [3, 4]


async def test_a_limit_of_a_transaction_is_none_outside_of_one(planted: Planted) -> None:
    local = CONCURRENTLY.replace("SET", "SET LOCAL")
    found = (
        await planted(local + "ALTER TABLE otps ADD COLUMN note text;", PATIENT + "ALTER TABLE otps DROP COLUMN note;")
    ).findings
    assert [placed(each) for each in found] == [
        ("lock-timeout-missing", "0090.plant.sql", 4), ("set-local-ineffective", "0090.plant.sql", 3),
    ]  # fmt: skip
    assert found[0].remedy == "Write SET lock_timeout = '4s'; before it."


async def test_what_can_not_be_undone_outside_a_transaction_ends_the_check(planted: Planted) -> None:
    index = "CREATE INDEX CONCURRENTLY otps_idx ON otps (id);"
    found = (await planted(CONCURRENTLY + index, "")).findings
    assert [finding.code for finding in found] == ["way-back-differs", "later-unchecked"]


async def test_what_fails_outside_a_transaction_ends_the_check(planted: Planted) -> None:
    found = (await planted(CONCURRENTLY + "CREATE INDEX CONCURRENTLY ON nothing (id);", "")).findings
    assert [finding.code for finding in found] == ["migration-fails", "later-unchecked"]
    assert found[0].message.startswith('the server refuses this on tables as they are: relation "nothing"')


REFERENCE = (
    "ALTER TABLE campaigns ADD COLUMN checked_by uuid,\n"
    "    ADD CONSTRAINT checked_by_fkey FOREIGN KEY (tenant_id, checked_by) REFERENCES users (tenant_id, id);\n"
)
NO_REFERENCE = PATIENT + "ALTER TABLE campaigns DROP COLUMN checked_by;"


def bracketed(text: str, *, closed: str = "campaigns users") -> str:
    opened, shut = (
        "".join(f"ALTER TABLE {table} {how} ROW LEVEL SECURITY;\n" for table in tables.split())
        for how, tables in (("NO FORCE", "campaigns users"), ("FORCE", closed))
    )
    return PATIENT + opened + text + shut


async def unguarded(planted: Planted, up: str) -> set[tuple[str, str, int]]:
    """What is found beside the guard's complaint that the new column is not recorded."""
    checked = await planted(up, NO_REFERENCE)
    return {placed(each) for each in checked.findings if "column_not_recorded" not in each.message}


async def test_a_foreign_key_outside_the_bracket_is_found(planted: Planted) -> None:
    checked = await planted(PATIENT + REFERENCE, NO_REFERENCE)
    [finding] = [each for each in checked.findings if each.code == "foreign-key-unbracketed"]
    assert placed(finding) == ("foreign-key-unbracketed", "0090.plant.sql", 2)
    assert finding.message == (
        "this checks the foreign key checked_by_fkey while the policies of quarry.campaigns and quarry.users are forced."
    )
    assert "the server refused it with TN001" in finding.proved
    assert finding.remedy.startswith("ALTER TABLE … NO FORCE ROW LEVEL SECURITY on both tables")


async def test_a_foreign_key_inside_the_bracket_is_fine(planted: Planted) -> None:
    assert await unguarded(planted, bracketed(REFERENCE)) == set()


async def test_a_bracket_of_one_table_and_one_that_stays_open_are_found(planted: Planted) -> None:
    half = PATIENT + "ALTER TABLE campaigns NO FORCE ROW LEVEL SECURITY;\n" + REFERENCE
    half += "ALTER TABLE campaigns FORCE ROW LEVEL SECURITY;"
    assert ("foreign-key-unbracketed", "0090.plant.sql", 3) in await unguarded(planted, half)
    found = await unguarded(planted, bracketed(REFERENCE, closed="users"))
    assert ("foreign-key-unbracketed", "0090.plant.sql", 4) in found


async def test_a_foreign_key_that_is_validated_outside_the_bracket_is_found(planted: Planted) -> None:
    later = REFERENCE.replace(");\n", ") NOT VALID;\n")
    up = PATIENT + later + "ALTER TABLE campaigns VALIDATE CONSTRAINT checked_by_fkey;"
    assert ("foreign-key-unbracketed", "0090.plant.sql", 4) in await unguarded(planted, up)


@pytest.mark.parametrize(
    ("code", "up", "down"),
    [
        (
            "check-looks-at-rows", "ALTER TABLE otps ADD CONSTRAINT odd CHECK (attempts >= 0);",
            "ALTER TABLE otps DROP CONSTRAINT odd;",
        ),
        (
            "validated-at-once",
            "ALTER TABLE otps ADD CONSTRAINT odd CHECK (attempts >= 0) NOT VALID;\nALTER TABLE otps VALIDATE CONSTRAINT odd;",
            "ALTER TABLE otps DROP CONSTRAINT odd;",
        ),
        (
            "served-release-refused", "ALTER TABLE otps ADD CONSTRAINT odd CHECK (attempts < 9) NOT VALID;",
            "ALTER TABLE otps DROP CONSTRAINT odd;",
        ),
        (
            "served-release-refused",
            "ALTER TABLE otps ADD COLUMN odd text; ALTER TABLE otps ADD CONSTRAINT odd CHECK (odd IS NOT NULL) NOT VALID;",
            "ALTER TABLE otps DROP COLUMN odd;",
        ),
        (
            "served-release-refused",
            "ALTER TABLE otps ADD COLUMN odd text NOT NULL DEFAULT 'eu'; ALTER TABLE otps ALTER COLUMN odd DROP DEFAULT;",
            "ALTER TABLE otps DROP COLUMN odd;",
        ),
        ("served-release-refused", "ALTER TABLE campaigns ALTER COLUMN currency DROP DEFAULT;", ""),
        (
            "served-release-refused",
            f"{ANOTHER} CHECK (kind <> ALL (ARRAY['short'])) NOT VALID;",
            "",
        ),
        (
            "served-release-refused",
            f"{ANOTHER} CHECK (kind IN ('post', 'reel', 'story', 'video', 'article') AND status IN ('draft')) NOT VALID;",
            "",
        ),
        ("lock-table", "LOCK TABLE otps;", ""),
        ("rows-deleted", "DELETE FROM app.niches;", ""),
        ("backfill-in-one-transaction", "UPDATE app.niches SET icon = NULL;", ""),
        (
            "lock-timeout-missing", "ALTER TABLE otps ADD COLUMN odd text;",
            "ALTER TABLE otps DROP COLUMN odd;",
        ),
    ],
)  # fmt: skip
async def test_what_a_migration_does_to_rows_is_told(planted: Planted, code: str, up: str, down: str) -> None:
    checked = await planted(PATIENT + up, (PATIENT if code != "lock-timeout-missing" else "") + down)
    assert code in {each.code for each in checked.findings}


WIDER = f"{ANOTHER} CHECK (kind IN ('short', 'post', 'reel', 'story', 'video', 'article')) NOT VALID;"


@pytest.mark.parametrize(
    "up",
    [
        "ALTER TABLE otps ADD COLUMN odd int; ALTER TABLE otps ADD CONSTRAINT odd CHECK (odd > 0) NOT VALID;",
        WIDER,
    ],
)
async def test_a_check_that_refuses_no_row_of_the_served_release_is_fine(planted: Planted, up: str) -> None:
    found = {each.code for each in (await planted(PATIENT + up, PATIENT)).findings}
    assert "served-release-refused" not in found


async def test_a_way_back_that_loses_values_says_which(planted: Planted) -> None:
    checked = await planted(PATIENT + "UPDATE app.niches SET icon = 'lost';", PATIENT)
    [lost] = [each for each in checked.findings if each.code == "way-back-loses"]
    assert lost.message == "the way back loses values of app.niches.icon."


async def test_a_migration_that_does_not_hold_for_rows_is_found(planted: Planted) -> None:
    up = PATIENT + "ALTER TABLE otps ADD COLUMN note text NOT NULL;"
    finding = only(await planted(up, PATIENT + "ALTER TABLE otps DROP COLUMN note;"))
    assert placed(finding) == ("fails-on-rows", "0090.plant.sql", 2)
    assert finding.message.endswith('on tables with rows: column "note" of relation "otps" contains null values.')


async def test_a_backfill_that_binds_no_tenant_is_found(planted: Planted) -> None:
    found = (await planted(PATIENT + "UPDATE otps SET expires_at = now();", "")).findings
    assert placed(found[0]) == ("migration-fails", "0090.plant.sql", 2)
    assert found[0].message == "the server refuses this: no tenant is bound to this transaction."
    assert found[0].remedy == "Bind each tenant in turn: policies apply to the owner too."


@pytest.fixture
def table() -> tuple[str, str]:
    """A tenant table as `quarry migrate new` writes it, and its way back."""
    values = {"sentence": "Notes.", "depends": "", "table": "notes"}
    up, down = (Template(files.sql("templates", f"table.{way}.sql").read_text()) for way in ("up", "down"))
    return up.substitute(values), down.substitute(values)


async def test_a_tenant_table_as_it_is_scaffolded_is_fine(planted: Planted, table: tuple[str, str]) -> None:
    assert (await planted(*table)).findings == []


async def test_a_tenant_table_whose_policies_are_not_forced_is_found(planted: Planted, table: tuple[str, str]) -> None:
    up, down = table
    finding = only(await planted(up.replace("ALTER TABLE notes FORCE ROW LEVEL SECURITY;", ""), down))
    assert placed(finding) == ("tenant-table-unguarded", "0090.plant.sql", 6)
    assert finding.message == "the guard says policies_not_forced of quarry.notes."
    assert finding.remedy == "Make the table as `quarry migrate new NAME --table TABLE` writes one."


async def test_a_tenant_table_that_is_not_recorded_is_found(planted: Planted, table: tuple[str, str]) -> None:
    up, down = table
    untracked = (
        "DROP TRIGGER record_delete ON notes;\nDROP TRIGGER refuse_truncate ON notes;\nDROP TRIGGER touch ON notes;"
    )
    found = (await planted(up + untracked, down)).findings
    assert [finding.message for finding in found] == ["the guard says changes_not_recorded of quarry.notes."]


async def test_what_a_later_migration_puts_right_is_not_the_earlier_one_s(
    planted: Planted, table: tuple[str, str]
) -> None:
    up, down = table
    later = {"0091.force": PATIENT + "ALTER TABLE notes FORCE ROW LEVEL SECURITY;\n",
             "0091.force.rollback": PATIENT + "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY;\n"}  # fmt: skip
    assert (await planted(up.replace("ALTER TABLE notes FORCE ROW LEVEL SECURITY;", ""), down, **later)).findings == []


async def test_an_acceptance_has_a_reason_and_is_needed(planted: Planted) -> None:
    up = PATIENT + "CREATE INDEX users_role_idx ON users (role);\n"
    down = PATIENT + "DROP INDEX users_role_idx;"
    checked = await planted(up + "-- accepts: index-not-concurrent because it is a test\n", down)
    assert checked.findings == []
    assert [(finding.code, reason) for finding, reason in checked.accepted] == [
        ("index-not-concurrent", "it is a test")
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0090.plant: table-rewritten: it is small", "0090.plant has no finding table-rewritten."),
        ("0001.nothing: table-rewritten: it is small", "there is no migration 0001.nothing."),
        ("0090.plant: table-rewritten", "this line is not of the form that accepts anything."),
    ],
)
async def test_an_acceptance_of_nothing_is_found(planted: Planted, folder: Path, line: str, message: str) -> None:
    (folder / "accepted.txt").write_text(f"# Reasons.\n\n{line}\n")
    finding = only(await planted("SELECT 1;", "SELECT 1;"))
    assert (*placed(finding), finding.message) == ("acceptance-unneeded", "accepted.txt", 3, message)


async def test_an_acceptance_without_a_reason_accepts_nothing(planted: Planted) -> None:
    up = PATIENT + "-- accepts: index-not-concurrent\nCREATE INDEX users_role_idx ON users (role);"
    found = (await planted(up, PATIENT + "DROP INDEX users_role_idx;")).findings
    assert [placed(each) for each in found] == [
        ("index-not-concurrent", "0090.plant.sql", 3),
        ("acceptance-unneeded", "0090.plant.sql", 2),
    ]


async def test_rows_that_lock_more_than_rows_are_refused(planted: Planted) -> None:
    async def locking(connection: Any) -> None:
        await connection.execute("LOCK TABLE quarry.users")

    with pytest.raises(ValueError, match="hide those of the migration"):
        await planted("SELECT 1;", "SELECT 1;", fill=locking)


async def test_a_start_that_is_no_migration_is_refused(settings: Settings) -> None:
    with pytest.raises(OperatorError, match=r"there is no migration 0099\.nothing"):
        await check(settings.administration(), "quarry", fill=fill, since="0099.nothing")


def test_a_file_is_cut_where_statements_end(tmp_path: Path) -> None:
    texts = [
        "SELECT ';' /* ; */;",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC\n SELECT 1; SELECT CASE WHEN true THEN 2 END; END;",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
        "DO $$ BEGIN; END $$",
    ]
    path = tmp_path / "0001.it.sql"
    path.write_text(
        f"-- transactional: false\n\n{texts[0]} {texts[1]}\n{texts[2]}\n-- The last;\n  {texts[3]}\n-- End.\n"
    )
    script = scripts.read(path)
    assert [each.text for each in script.statements] == texts
    assert [(each.line, each.column) for each in script.statements] == [(3, 0), (3, 20), (5, 0), (7, 2)]
    assert not script.is_transactional


def test_a_file_that_can_not_be_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0001.it.sql"
    path.write_text("SELECT 1;\nSELECT 'open;\n")
    with pytest.raises(MigrationError, match=r"0001\.it\.sql:2: string does not end"):
        scripts.read(path)
