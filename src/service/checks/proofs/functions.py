"""PostgreSQL's own functions that are known not to return null.

The lists are written by hand, because the catalog has no such information; tests/checks/test_functions.py calls each
function with unusual values, and fails if one returns null.
"""

from __future__ import annotations

from service.checks.proofs.catalog import Catalog, Function

_SYSTEM = "pg_catalog"

TOTAL_OPERATORS = frozenset(
    {"+", "-", "*", "/", "%", "=", "<>", "<", ">", "<=", ">=", "||", "~~", "!~~", "~~*", "!~~*", "~", "&&", "@>", "<@"}
)
"""Operators, by name, that do not return null for any two non-null values of `TOTAL_TYPES`."""

TOTAL_TYPES = frozenset({
    "boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision", "text", "character varying", "character",
    "name", "uuid", "bytea", "date", "time without time zone", "timestamp with time zone", "timestamp without time zone",
    "interval", "inet", "cidr", "jsonb", "anyarray", "anycompatiblearray", "anynonarray", "anycompatible", "xid8", "oid",
    "anycompatiblenonarray", "anyelement", "xid", "tsvector", "tsquery", "regconfig", "text[]", "uuid[]", "integer[]",
    '"char"', "json", "regclass",
})  # fmt: skip
"""Types of arguments for which these functions never return null. Geometric types are left out: path + path may be null."""

TOTAL_FUNCTIONS = frozenset({
    "lower", "upper", "length", "char_length", "octet_length", "btrim", "ltrim", "rtrim", "replace", "abs", "ceil", "floor",
    "round", "md5", "left", "right", "date_trunc", "starts_with", "encode", "substr", "generate_series", "jsonb_typeof",
    "cardinality", "like_escape", "substring", "jsonb_array_length",
    # Texts.
    "initcap", "reverse", "lpad", "rpad", "split_part", "translate", "repeat", "strpos", "position", "ascii", "chr",
    "bit_length", "character_length", "overlay", "quote_ident", "quote_literal", "regexp_replace", "regexp_split_to_array",
    "regexp_count", "regexp_like", "regexp_instr", "string_to_array", "to_hex", "convert_to", "convert_from", "decode",
    "parse_ident", "text_larger", "text_smaller",
    # Numbers.
    "ceiling", "trunc", "sign", "sqrt", "cbrt", "power", "pow", "exp", "ln", "log", "log10", "mod", "div", "gcd", "lcm",
    "width_bucket", "degrees", "radians", "trim_scale", "numeric_inc",
    # Digests and bytes.
    "sha224", "sha256", "sha384", "sha512", "hashtext", "hashtextextended", "get_byte", "get_bit", "set_byte", "bit_count",
    # Times.
    "isfinite", "justify_days", "justify_hours", "justify_interval", "make_date", "make_time", "make_timestamp",
    "make_interval", "date_bin",
    "make_timestamptz", "to_timestamp", "to_date", "timezone",
    # Arrays.
    "array_to_string", "array_cat",
    # JSON.
    "jsonb_set", "jsonb_insert", "jsonb_strip_nulls", "jsonb_pretty", "jsonb_concat", "jsonb_delete", "jsonb_exists",
    "jsonb_contains", "to_jsonb", "to_json", "row_to_json", "array_to_json", "jsonb_object_keys",
    "json_object_keys", "jsonb_array_elements", "json_array_elements",
    # Networks.
    "host", "masklen", "network", "broadcast", "netmask", "hostmask", "set_masklen", "family", "abbrev", "text",
    # Text search.
    "to_tsvector", "plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery", "to_tsquery", "ts_rank", "ts_rank_cd",
    "ts_headline", "numnode", "strip", "setweight", "querytree",
    # Sequences.
    "nextval",
})  # fmt: skip
"""Functions, by name, that do not return null for any non-null values of `TOTAL_TYPES`."""

_CASTS = frozenset({
    "bool", "text", "int2", "int4", "int8", "numeric", "float4", "float8", "varchar", "bpchar", "date", "timestamptz",
    "timestamp", "interval",
})  # fmt: skip
"""Functions that are casts. Each has the name of the type that it casts to."""

NEVER_NULL = frozenset({
    "now", "concat", "gen_random_uuid", "clock_timestamp", "statement_timestamp", "transaction_timestamp",
    "jsonb_build_object", "json_build_object", "jsonb_build_array", "json_build_array", "random", "pg_current_xact_id",
})  # fmt: skip
"""Functions that never return null, whatever their arguments are."""

FIRST_DECIDES = frozenset({"concat_ws", "format", "array_remove", "array_replace"})
"""Functions that return null only if their first argument is null."""

ALL_DECIDE = frozenset({"array_append", "array_prepend", "array_cat"})
"""Functions that return null only if all their arguments are null."""

EXTRACTED = frozenset({"year", "epoch", "century", "decade", "millennium", "millennia", "julian", "isoyear"})
"""The fields of extract() and date_part() that infinite times have too; of the others it returns null for these."""

RANKS = frozenset({"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "count"})
"""Window functions that never return null, whatever their frame is."""

KEEPING = frozenset({"sum", "min", "max", "avg", "bool_and", "bool_or", "every", "string_agg"})
"""Aggregates that return null only if every value in the group is null."""

ORDERED = frozenset({"percentile_disc", "percentile_cont", "mode"})
"""Ordered-set aggregates that return null only for a group without values, or for a fraction that is null."""

_CERTAIN_COLUMNS = {"jsonb_each": 2, "json_each": 2, "jsonb_each_text": 1, "json_each_text": 1}

COLLECTING = frozenset({"array_agg", "jsonb_agg", "json_agg", "jsonb_object_agg", "json_object_agg"})
"""Aggregates that return null only for a group without rows."""


def is_total(function: Function, catalog: Catalog) -> bool:
    """Whether a function returns null only if one of its arguments is null."""
    if function.schema != _SYSTEM or not function.is_strict or function.kind != "f" or _takes_any_number(function):
        return False
    named = function.arguments.replace("VARIADIC ", "").split(", ") if function.arguments else []
    kinds = [each.partition(" DEFAULT ")[0] for each in named]
    if function.name == "substring" and kinds[1:2] == ["text"]:
        return False  # substring(text, pattern) returns null if the pattern does not match.
    if function.name in _CASTS and "jsonb" in kinds:
        return False  # Since PostgreSQL 18 such a cast converts JSON null to SQL NULL.
    if any({kind, kind.partition(" ")[2], kind.rsplit(" ", 1)[-1]}.isdisjoint(TOTAL_TYPES) for kind in kinds):
        return False
    return function.name in TOTAL_FUNCTIONS | _CASTS or catalog.implementations.get(function.oid) in TOTAL_OPERATORS


def system_name(oid: int, catalog: Catalog) -> str:
    """The name of one of PostgreSQL's own functions; '' for any other function."""
    function = catalog.functions.get(oid)
    return function.name if function is not None and function.schema == _SYSTEM else ""


def _takes_any_number(function: Function) -> bool:
    return "VARIADIC" in function.arguments and function.name != "jsonb_delete"


def certain_columns(function: Function) -> int:
    """How many of the columns that a function returns in FROM, from the first on, are never null."""
    return _CERTAIN_COLUMNS.get(function.name, 0) if function.schema == _SYSTEM else 0


def is_never_null(function: Function) -> bool:
    """Whether a function never returns null, whatever its arguments are."""
    answers_all = not function.is_strict or not function.arguments
    return function.schema == _SYSTEM and function.name in NEVER_NULL and answers_all
