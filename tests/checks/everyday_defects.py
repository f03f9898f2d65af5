"""Defects that are put into everyday statements: into their text, into the method that binds them, or into the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from checks.everyday_schema import Schema
from checks.everyday_statements import Everyday
from checks.planting import Plant
from service.checks.runs.trials import TENANTS

_TENANT = r"\b([abc])\.tenant_id = :tenant_id\b"
_ROW = r"\(b\.created_at, b\.id\) ([<>]) \(:after_created_at, :after_id\)"
_HINT = r"\b(\w+): ((?:Literal\[[^\]]*\]|[A-Za-z]+)(?:\[\w+\])?)(?=[,;]|$)"

FUNCTIONS = """
CREATE FUNCTION app.peek(text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS 'SELECT $1 || (SELECT count(*) FROM quarry.{b})';
CREATE FUNCTION app.is_same(anyelement, anyelement) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS 'SELECT $1 = $2 AND (SELECT count(DISTINCT tenant_id) FROM quarry.{b}) = 1';
CREATE OPERATOR app.=== (FUNCTION = app.is_same, LEFTARG = anyelement, RIGHTARG = anyelement);
CREATE FUNCTION app.joined(text, text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS 'SELECT $1 || (SELECT count(*) FROM quarry.{b})';
CREATE AGGREGATE app.all_of(text) (SFUNC = app.joined, STYPE = text, INITCOND = '');
GRANT EXECUTE ON FUNCTION app.peek(text), app.is_same(anyelement, anyelement), app.joined(text, text) TO quarry_app;
"""
"""Functions with their owner's rights that read rows of all tenants. No healthy statement calls them."""

SQL_RULES: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "the tenant's condition is dropped": (_TENANT, "true"),
    "the tenant's condition is moved into OR": (_TENANT, r"(\1.tenant_id = :tenant_id OR \1.version > 0)"),
    "the tenant's condition is negated": (_TENANT, r"\1.tenant_id <> :tenant_id"),
    "the tenant parameter is compared with itself": (_TENANT, ":tenant_id::uuid = :tenant_id"),
    "the tenant column is compared with itself": (_TENANT, r"\1.tenant_id = \1.tenant_id"),
    "the tenant's condition names only a": (r"\b[bc]\.tenant_id = :tenant_id\b", "a.tenant_id = :tenant_id"),
    "the tenant's condition names only b": (r"\b[ac]\.tenant_id = :tenant_id\b", "b.tenant_id = :tenant_id"),
    "the tenant's condition names only c": (r"\b[ab]\.tenant_id = :tenant_id\b", "c.tenant_id = :tenant_id"),
    "a row is written for another tenant": (r"(VALUES \(|SELECT ):tenant_id,", rf"\g<1>'{TENANTS[1]}'::uuid,"),
    "the order lacks its last key": (
        r"(ORDER BY [^()]*?), (?:[abc]\.)?id(?: DESC)?(?=\s+LIMIT|\s+FOR|\)|$)",
        r"\1",
    ),
    "there is no order": (r"\s+ORDER BY [^()]*?(?=\s+LIMIT)", ""),
    "the order inside is dropped": (r" ORDER BY c\.created_at[^()]*?(?=\))", ""),
    "the limit is dropped": (r"\s+LIMIT [:\w]+(?=\)|$)", ""),
    "the limit is ALL": (r"\bLIMIT [:\w]+", "LIMIT ALL"),
    "the limit is NULL": (r"\bLIMIT [:\w]+", "LIMIT NULL"),
    "the limit is WITH TIES and the order lacks its last key": (
        r"\b(ORDER BY [^()]*?), (?:b\.)?id(?: DESC)?\s+LIMIT (\d)",
        r"\1 FETCH FIRST \2 ROWS WITH TIES",
    ),
    "the key is not compared": (r" AND [bc]\.(?:id|code|number|reference) = :(?:id|code|child)\b", ""),
    "the key is compared otherwise": (r"\b([bc]\.(?:id|code|number|reference)) = :(id|code|child)\b", r"\1 >= :\2"),
    "a page goes the other way": (_ROW, lambda found: found[0].replace(found[1], "><"[found[1] == ">"])),
    "a page begins with its last row again": (_ROW, r"(b.created_at, b.id) \1= (:after_created_at, :after_id)"),
    "a page goes on after its first key alone": (_ROW, r"b.created_at \1 :after_created_at AND :after_id::text <> ''"),
    "a page leaves out rows of the same time": (_ROW, r"\g<0> AND b.created_at \1 :after_created_at"),
    "a page compares key by key": (_ROW, r"b.created_at \1 :after_created_at AND b.id \1 :after_id"),
    "a page takes the values of another key": (_ROW, r"(b.created_at, b.id) \1 (now(), :after_id)"),
    "a page is in another order": (r"ORDER BY b\.created_at DESC, b\.id DESC", "ORDER BY b.created_at, b.id"),
    "a page is in an order of its own": (r"ORDER BY b\.created_at( DESC)?, b\.id( DESC)?", r"ORDER BY b.version, b.id\2"),
    "a page loses rows of the same time": (
        r" OR b\.created_at = :after_created_at AND b\.id < :after_id",
        " AND :after_id::text <> ''",
    ),
    "a page turns round in its second key": (r"(= :after_created_at AND b\.id) < :after_id", r"\1 > :after_id"),
    "a join keeps rows without a partner": (r"(?<!LEFT )\bJOIN (?!LATERAL)", "LEFT JOIN "),
    "a column may be null: no condition": (r" AND c\.\w+ IS NOT NULL", ""),
    "a column may be null: no coalesce": (r"coalesce\((b\.\w+|sum\(b\.\w+\)|string_agg\([^()]*\)), (?:''|0)\)", r"\1"),
    "a column may be null: nullif": (r"(?<=SELECT )(b\.id)\b", r"nullif(\1, \1) AS id"),
    "a function reads all rows": (r"(?<=[ (])(b\.(?:title|label|subject|caption))(?= AS|,| FROM)", r"app.peek(\1)"),
    "a function reads all rows, in a condition": (r"\b(b\.(?:title|label|subject|caption)) ILIKE", r"app.peek(\1) ILIKE"),
    "an operator reads all rows": (r"\b([abc]\.id) = (:id|b\.\w+)", r"\1 OPERATOR(app.===) \2"),
    "an aggregate reads all rows": (r"string_agg\((b\.\w+), ',' ORDER BY b\.\w+\)", r"app.all_of(\1)"),
    "the tenant is bound anew": (
        r" WHERE (?=[abc]\.tenant_id)", f" WHERE set_config('app.tenant_id', '{TENANTS[1]}', true) <> '' AND "
    ),
    "the role is set anew": (r" WHERE (?=[abc]\.tenant_id)", " WHERE set_config('role', 'quarry_platform', true) <> '' AND "),
}  # fmt: skip
"""Patterns of SQL and what stands in their place, one place at a time."""

_METHOD_RULES: dict[str, tuple[str, str, str | Callable[[re.Match[str]], str]]] = {
    "a field is never None": ("row", r" \| None", ""),
    "a field has another type": (
        "row",
        _HINT,
        lambda found: f"{found[1]}: {'int' if found[2] in ('str', 'UUID', 'datetime', 'date') else 'UUID'}",
    ),
    "a text is missing": ("row", r", '\w+'\]", "]"),
    "a parameter may be None": ("takes", _HINT, r"\1: \2 | None"),
}
"""Patterns of the fields of the model, or of the parameters of the method."""

SCHEMA_RULES: dict[str, tuple[str, str]] = {
    "{0} has no policy": ("DROP POLICY tenant ON {0}; ALTER TABLE {0} DISABLE ROW LEVEL SECURITY", ""),
    "{0} has a policy for everyone": ("DROP POLICY tenant ON {0}; CREATE POLICY tenant ON {0} USING (true)", ""),
    "{0} has a second policy": ("CREATE POLICY another ON {0} USING (true)", ""),
    "{0} is a view with its owner's rights": (
        "ALTER TABLE {0} RENAME TO own; CREATE VIEW {0} AS SELECT * FROM own; GRANT ALL ON {0} TO quarry_app",
        "",
    ),
    "{0} may not be read": ("REVOKE SELECT ON {0} FROM quarry_app", ""),
    "{0} may not be written": ("REVOKE INSERT, UPDATE, DELETE ON {0} FROM quarry_app", ""),
    "a column of {0} may not be read": (
        "REVOKE SELECT ON {0} FROM quarry_app; GRANT SELECT (tenant_id, id, version, deleted_at) ON {0} TO quarry_app",
        "",
    ),
    "codes of {0} are not unique": ("ALTER TABLE {0} DROP CONSTRAINT {0}_code", "doubles"),
    "codes of {0} are unique for some": (
        "ALTER TABLE {0} DROP CONSTRAINT {0}_code; CREATE UNIQUE INDEX ON {0} (tenant_id, {1.code.name}) WHERE version > 9",
        "doubles",
    ),
    "created_at of {0} may be null": ("ALTER TABLE {0} ALTER COLUMN created_at DROP NOT NULL", "unknown times"),
    "titles of {0} may be null": ("ALTER TABLE {0} ALTER COLUMN {1.title.name} DROP NOT NULL", "untitled"),
    "states of {0} are not listed": (
        "ALTER TABLE {0} DROP CONSTRAINT {0}_{1.state.name}_check",
        "odd texts",
    ),
    "states of {0} are listed beside others": (
        (
            "ALTER TABLE {0} DROP CONSTRAINT {0}_{1.state.name}_check, ADD CONSTRAINT {0}_{1.state.name}_check"
            " CHECK ({1.state.name} IN ('open', 'closed') OR version > 0)"
        ),
        "odd texts",
    ),
    "a trigger of {0} writes for another tenant": (
        (
            "CREATE FUNCTION app.stray() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS"
            " 'BEGIN UPDATE quarry.{0} SET version = 99 WHERE tenant_id <> NEW.tenant_id AND version <> 99; RETURN NEW; END';"
            " CREATE TRIGGER stray AFTER INSERT OR UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION app.stray()"
        ),
        "",
    ),
}
"""DDL for a table, and the oddity of the rows that shows it."""


@dataclass(frozen=True)
class Defect:
    """A statement with a defect, and its healthy twin."""

    rule: str
    healthy: Everyday
    planted: Everyday


def of_statement(each: Everyday) -> Iterator[Defect]:
    """The statement with every rule applied at every place where it fits."""
    for rule, (pattern, instead) in SQL_RULES.items():
        for text in _changed(each.plant.sql, pattern, instead):
            yield Defect(rule, each, replace(each, plant=_taking(each.plant.but(sql=text))))
    for rule, (part, pattern, change) in _METHOD_RULES.items():
        for text in _changed(getattr(each.plant, part), pattern, change):
            yield Defect(rule, each, replace(each, plant=each.plant.but(**{part: text})))


def of_schema(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Defects of the schema, each with its DDL, and the oddity of the rows of one table that shows it."""
    for number, (rule, (ddl, oddity)) in enumerate(SCHEMA_RULES.items()):
        table = schema.tables[(number + int(schema.seed)) % 3]
        yield rule.format("a table"), ddl.format(table.name, table), oddity, table.name


def _changed(text: str, pattern: str, instead: str | Callable[[re.Match[str]], str]) -> Iterator[str]:
    for found in re.finditer(pattern, text):
        new = found.expand(instead) if isinstance(instead, str) else instead(found)
        if new != found[0]:
            yield text[: found.start()] + new + text[found.end() :]


def _taking(plant: Plant) -> Plant:
    """The plant without the parameters that its text no longer has."""
    parts = [each for each in re.split(r", (?=\w+: )", plant.takes) if f":{each.partition(':')[0]}" in plant.sql]
    return plant.but(takes=", ".join(parts))
