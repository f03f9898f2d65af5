"""PostgreSQL's own functions that are known to return a value, not null.

The lists are written by hand, because the catalog has no such information; tests/checks/test_functions.py calls each
function with unusual values, and fails if one returns null.
"""

from __future__ import annotations

from service.checks.proofs.catalog import Catalog, Function

_SYSTEM = "pg_catalog"

TOTAL_OPERATORS = frozenset(
    {"+", "-", "*", "/", "%", "=", "<>", "<", ">", "<=", ">=", "||", "~~", "!~~", "~~*", "!~~*", "~", "&&", "@>", "<@"}
)
"""Operators, by name, that return a value for any two non-null values of `TOTAL_TYPES`."""

TOTAL_TYPES = frozenset({
    "boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision", "text", "character varying", "character",
    "name", "uuid", "bytea", "date", "time without time zone", "timestamp with time zone", "timestamp without time zone",
    "interval", "inet", "cidr", "jsonb", "anyarray", "anycompatiblearray", "anynonarray", "anycompatible", "xid8", "oid",
    "anycompatiblenonarray", "anyelement", "xid",
})  # fmt: skip
"""Geometric types are not among them: a path plus a path may be null."""

TOTAL_FUNCTIONS = frozenset({
    "lower", "upper", "length", "char_length", "octet_length", "btrim", "ltrim", "rtrim", "replace", "abs", "ceil", "floor",
    "round", "md5", "left", "right", "date_trunc", "starts_with", "encode", "substr", "generate_series", "jsonb_typeof",
    "cardinality", "like_escape", "substring",
    "jsonb_array_length",
})  # fmt: skip
"""Functions, by name, that return a value for any non-null values of `TOTAL_TYPES`."""

_CASTS = frozenset({
    "bool", "text", "int2", "int4", "int8", "numeric", "float4", "float8", "varchar", "bpchar", "date", "timestamptz",
    "timestamp", "interval",
})  # fmt: skip
"""Functions that are casts, named after the type that they make."""

NEVER_NULL = frozenset({
    "now", "concat", "gen_random_uuid", "clock_timestamp", "statement_timestamp", "transaction_timestamp",
    "jsonb_build_object", "json_build_object", "jsonb_build_array", "json_build_array", "random", "pg_current_xact_id",
})  # fmt: skip
"""Functions that answer a value whatever they are given."""

RANKS = frozenset({"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "count"})
"""Window functions that answer a value whatever the frame."""

KEEPING = frozenset({"sum", "min", "max", "avg", "bool_and", "bool_or", "every", "string_agg"})
"""Aggregates that answer null only when every value in the group is null."""

COLLECTING = frozenset({"array_agg", "jsonb_agg", "json_agg", "jsonb_object_agg", "json_object_agg"})
"""Aggregates that answer null only for a group without rows."""


def is_total(function: Function, catalog: Catalog) -> bool:
    """Whether a function returns a value whenever none of its arguments is null."""
    if function.schema != _SYSTEM or not function.is_strict or function.kind != "f":
        return False
    kinds = function.arguments.split(", ") if function.arguments else []
    if function.name == "substring" and kinds[1:2] == ["text"]:
        return False  # By pattern: null when nothing matches.
    if function.name in _CASTS and "jsonb" in kinds:
        return False  # Since PostgreSQL 18 the null of JSON becomes one of SQL.
    if any(kind.rsplit(" ", 1)[-1] not in TOTAL_TYPES and kind not in TOTAL_TYPES for kind in kinds):
        return False
    return function.name in TOTAL_FUNCTIONS | _CASTS or catalog.implementations.get(function.oid) in TOTAL_OPERATORS


def is_never_null(function: Function) -> bool:
    """Whether a function returns a value whatever it is given."""
    answers_all = not function.is_strict or not function.arguments
    return function.schema == _SYSTEM and function.name in NEVER_NULL and answers_all
