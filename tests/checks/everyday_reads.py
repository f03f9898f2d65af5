"""What every service reads from its tables: rows by keys, pages, counts, groups, joins and feeds."""

from __future__ import annotations

from collections.abc import Callable

from checks.everyday_writer import GROWS_TENANT_HEADER, UNBOUNDED_HEADER, Writer
from checks.planting import Plant


def _find(w: Writer) -> Plant:
    return w.select(" AND b.id = :id", "maybe", w.id)


def _find_by_code(w: Writer) -> Plant:
    return w.select(f" AND b.{w.b.code.name} = :code", "maybe", f"code: {w.b.code.python}")


def _find_locked(w: Writer) -> Plant:
    return w.select(" AND b.id = :id FOR UPDATE", "maybe", w.id)


def _find_several(w: Writer) -> Plant:
    return w.select(
        f" AND b.id = ANY (:ids::{w.b.key.sql}[]) ORDER BY b.id",
        "many",
        f"ids: list[{w.b.key.python}]",
        UNBOUNDED_HEADER,
    )


def _first_page(w: Writer) -> Plant:
    return w.select(" ORDER BY b.created_at DESC, b.id DESC LIMIT :limit", "many", "limit: int")


def _page(w: Writer) -> Plant:
    end = (
        "\n   AND (b.created_at, b.id) < (:after_created_at, :after_id)    -- when :after_id\n"
        " ORDER BY b.created_at DESC, b.id DESC\n LIMIT :limit"
    )
    takes = f"limit: int, after_created_at: datetime | None = None, after_id: {w.b.key.python} | None = None"
    return w.select(end, "many", takes, columns=w.paged)


def _page_upwards(w: Writer) -> Plant:
    end = " AND (b.created_at, b.id) > (:after_created_at, :after_id)\n ORDER BY b.created_at, b.id\n LIMIT :limit"
    return w.select(end, "many", f"limit: int, after_created_at: datetime, after_id: {w.b.key.python}", columns=w.paged)


def _page_of_state(w: Writer) -> Plant:
    end = (
        f" AND b.{w.b.state.name} = :state AND (b.created_at, b.id) < (:after_created_at, :after_id)\n"
        " ORDER BY b.created_at DESC, b.id DESC\n LIMIT :limit"
    )
    takes = f"state: str, limit: int, after_created_at: datetime, after_id: {w.b.key.python}"
    return w.select(end, "many", takes, columns=w.paged)


def _page_spelled_out(w: Writer) -> Plant:
    end = (
        " AND b.created_at <= :after_created_at AND (b.created_at < :after_created_at OR b.created_at = :after_created_at"
        " AND b.id < :after_id)\n ORDER BY b.created_at DESC, b.id DESC\n LIMIT :limit"
    )
    return w.select(end, "many", f"limit: int, after_created_at: datetime, after_id: {w.b.key.python}", columns=w.paged)


def _page_with_parent(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, b.created_at, a.{w.a.title.name} AS parent FROM {w.joined(w.a)} WHERE {w.b.bound}"
        " AND (b.created_at, b.id) < (:after_created_at, :after_id)\n ORDER BY b.created_at DESC, b.id DESC\n LIMIT :limit"
    )
    takes = f"limit: int, after_created_at: datetime, after_id: {w.b.key.python}"
    return Plant(sql, "many", f"{w.id}; created_at: datetime; parent: str", takes)


def _children(w: Writer) -> Plant:
    end = f" AND b.{w.parent.name} = :parent ORDER BY b.created_at DESC, b.id DESC LIMIT 5"
    return w.select(end, "many", f"parent: {w.parent.python}")


def _search(w: Writer) -> Plant:
    end = f" AND b.{w.b.title.name} ILIKE :q ORDER BY b.created_at DESC, b.id DESC LIMIT :limit"
    return w.select(end, "many", "q: str, limit: int", GROWS_TENANT_HEADER)


def _due(w: Writer) -> Plant:
    end = f" AND b.{w.b.due.name} BETWEEN :since AND :until ORDER BY b.{w.b.due.name}, b.id LIMIT 5"
    return w.select(end, "many", f"since: {w.b.due.python}, until: {w.b.due.python}")


def _exists(w: Writer) -> Plant:
    return Plant(
        f"SELECT EXISTS (SELECT FROM {w.b.source} WHERE {w.b.bound} AND b.id = :id)",
        "value",
        takes=w.id,
        answers="bool",
    )


def _count(w: Writer) -> Plant:
    sql = f"SELECT count(*) FROM {w.b.source} WHERE {w.b.bound} AND b.{w.b.state.name} = :state"
    return Plant(sql, "value", takes="state: str",
                 header=GROWS_TENANT_HEADER)  # fmt: skip


def _count_by_state(w: Writer) -> Plant:
    sql = f"SELECT b.{w.b.state.name} AS state, count(*) AS n FROM {w.b.source} WHERE {w.b.bound} GROUP BY b.{w.b.state.name}"
    return Plant(sql, "many", f"state: {w.b.state.hint}; n: int", header=f"{GROWS_TENANT_HEADER}\n{UNBOUNDED_HEADER}")


def _total(w: Writer) -> Plant:
    sql = (
        f"SELECT coalesce(sum(b.{w.b.amount.name}), 0)::bigint AS total FROM {w.b.source} WHERE {w.b.bound}"
        f" AND b.{w.parent.name} = :parent"
    )
    return Plant(sql, "value", takes=f"parent: {w.parent.python}", header=GROWS_TENANT_HEADER)


def _extremes(w: Writer) -> Plant:
    column = f"b.{w.b.due.name}"
    sql = f"SELECT min({column}) AS first, max({column}) AS last, count({column}) AS n FROM {w.b.source} WHERE {w.b.bound}"
    return Plant(
        sql, "one", f"first: {w.b.due.python} | None; last: {w.b.due.python} | None; n: int", header=GROWS_TENANT_HEADER
    )


def _totals_by_parent(w: Writer) -> Plant:
    sql = (
        f"SELECT a.id, a.{w.a.title.name} AS title, count(b.id) AS n FROM {w.a.source} LEFT JOIN {w.b.source} ON {w.b.bound}"
        f" AND b.{w.parent.name} = a.id WHERE {w.a.bound} GROUP BY a.id, a.{w.a.title.name} HAVING count(b.id) > 0"
    )
    return Plant(
        sql, "many", f"id: {w.a.key.python}; title: str; n: int", header=f"{GROWS_TENANT_HEADER}\n{UNBOUNDED_HEADER}"
    )


def _with_parent(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, a.{w.a.title.name} AS parent, a.{w.a.note.name} AS said FROM {w.joined(w.a)}"
        f" WHERE {w.b.bound} AND b.id = :id"
    )
    return Plant(sql, "maybe", f"{w.id}; parent: str; said: str | None", w.id)


def _with_parent_if_any(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, a.{w.a.title.name} AS parent FROM {w.joined(w.a, 'LEFT JOIN')} WHERE {w.b.bound} AND b.id = :id"
    )
    return Plant(sql, "maybe", f"{w.id}; parent: str | None", w.id)


def _three_levels(w: Writer) -> Plant:
    sql = (
        f"SELECT c.id, b.{w.b.title.name} AS of, a.{w.a.title.name} AS over FROM {w.c.source} JOIN {w.b.source} ON {w.b.bound}"
        f" AND b.id = c.{w.child.name} JOIN {w.a.source} ON {w.a.bound} AND a.id = b.{w.parent.name} WHERE {w.c.bound}"
        " ORDER BY c.created_at DESC, c.id DESC LIMIT 3"
    )
    return Plant(sql, "many", f"id: {w.c.key.python}; of: str; over: str")


def _latest_child(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, l.title FROM {w.b.source} LEFT JOIN LATERAL (SELECT c.{w.c.title.name} AS title FROM {w.c.source}"
        f" WHERE {w.c.bound} AND c.{w.child.name} = b.id ORDER BY c.created_at DESC, c.id DESC LIMIT 1) AS l ON true"
        f" WHERE {w.b.bound} AND b.id = :id"
    )
    return Plant(sql, "maybe", f"{w.id}; title: str | None", w.id)


def _latest_of_each(w: Writer) -> Plant:
    sql = (
        f"SELECT DISTINCT ON (c.{w.child.name}) c.{w.child.name} AS of, c.id FROM {w.c.source} WHERE {w.c.bound}"
        f" AND c.{w.child.name} IS NOT NULL ORDER BY c.{w.child.name}, c.created_at DESC, c.id DESC"
    )
    return Plant(
        sql, "many", f"of: {w.child.python}; id: {w.c.key.python}", header=f"{GROWS_TENANT_HEADER}\n{UNBOUNDED_HEADER}"
    )


def _first_of_each(w: Writer) -> Plant:
    sql = (
        f"SELECT s.id FROM (SELECT c.id, row_number() OVER (PARTITION BY c.{w.child.name} ORDER BY c.created_at, c.id) AS n"
        f" FROM {w.c.source} WHERE {w.c.bound}) AS s WHERE s.n <= 2"
    )
    return Plant(sql, "many", f"id: {w.c.key.python}", header=f"{GROWS_TENANT_HEADER}\n{UNBOUNDED_HEADER}")


def _without_children(w: Writer) -> Plant:
    end = (
        f" AND NOT EXISTS (SELECT FROM {w.c.source} WHERE {w.c.bound} AND c.{w.child.name} = b.id)"
        " ORDER BY b.created_at DESC, b.id DESC LIMIT 5"
    )
    return w.select(end, "many", "", GROWS_TENANT_HEADER)


def _with_children(w: Writer) -> Plant:
    end = (
        f" AND b.id IN (SELECT c.{w.child.name} FROM {w.c.source} WHERE {w.c.bound} AND c.{w.c.state.name} = :state)"
        " ORDER BY b.created_at DESC, b.id DESC LIMIT 5"
    )
    return w.select(end, "many", "state: str", GROWS_TENANT_HEADER)


def _oldest_free(w: Writer) -> Plant:
    end = f" AND b.{w.b.state.name} = :state ORDER BY b.created_at, b.id LIMIT 1 FOR UPDATE SKIP LOCKED"
    return w.select(end, "maybe", "state: str")


def _labelled(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, CASE WHEN b.{w.b.amount.name} > 2 THEN 'large' ELSE 'small' END AS size,"
        f" coalesce(b.{w.b.note.name}, '') AS said, upper(b.{w.b.title.name}) AS title FROM {w.b.source}"
        f" WHERE {w.b.bound} AND b.id = :id"
    )
    return Plant(sql, "maybe", f"{w.id}; size: Literal['large', 'small']; said: str; title: str", w.id)


def _as_json(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, coalesce((SELECT jsonb_agg(jsonb_build_object('id', c.id) ORDER BY c.id) FROM {w.c.source}"
        f" WHERE {w.c.bound} AND c.{w.child.name} = b.id), '[]')::text AS children FROM {w.b.source}"
        f" WHERE {w.b.bound} AND b.id = :id"
    )
    return Plant(sql, "maybe", f"{w.id}; children: str", w.id, header=GROWS_TENANT_HEADER)


def _titles(w: Writer) -> Plant:
    column = f"b.{w.b.title.name}"
    sql = (
        f"SELECT coalesce(string_agg({column}, ',' ORDER BY {column}), '') AS titles,"
        f" coalesce(array_agg(DISTINCT {column}) FILTER (WHERE b.{w.b.state.name} = :state), '{{}}') AS some"
        f" FROM {w.b.source} WHERE {w.b.bound} AND b.{w.parent.name} = :parent"
    )
    return Plant(
        sql, "one", "titles: str; some: list[str]", f"state: str, parent: {w.parent.python}", header=GROWS_TENANT_HEADER
    )


def _by_day(w: Writer) -> Plant:
    sql = (
        "SELECT date_trunc('day', b.created_at) AS day, count(*) AS n, count(*) FILTER (WHERE"
        f" b.{w.b.state.name} = :state) AS some FROM {w.b.source} WHERE {w.b.bound} GROUP BY 1 ORDER BY 1 LIMIT 5"
    )
    return Plant(sql, "many", "day: datetime; n: int; some: int", "state: str", header=GROWS_TENANT_HEADER)


def _running(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id, sum(b.version) OVER (ORDER BY b.created_at, b.id) AS n FROM {w.b.source} WHERE {w.b.bound}"
        f" AND b.{w.parent.name} = :parent"
    )
    return Plant(
        sql,
        "many",
        f"{w.id}; n: int",
        f"parent: {w.parent.python}",
        header=f"{GROWS_TENANT_HEADER}\n{UNBOUNDED_HEADER}",
    )


def _feed(w: Writer) -> Plant:
    sql = (
        f"SELECT b.id::text AS id, b.created_at, 'b' AS kind FROM {w.b.source} WHERE {w.b.bound}"
        f" UNION ALL SELECT c.id::text, c.created_at, 'c' FROM {w.c.source} WHERE {w.c.bound}"
        " ORDER BY created_at DESC, kind, id LIMIT :limit"
    )
    return Plant(
        sql, "many", "id: str; created_at: datetime; kind: Literal['b', 'c']", "limit: int", header=GROWS_TENANT_HEADER
    )


def _table_expression(w: Writer) -> Plant:
    sql = (
        f"WITH picked AS (SELECT b.id, b.{w.b.title.name} AS title FROM {w.b.source} WHERE {w.b.bound}"
        f" AND b.{w.parent.name} = :parent)"
        " SELECT p.id, p.title FROM picked AS p ORDER BY p.title, p.id LIMIT 5"
    )
    return Plant(sql, "many", f"{w.id}; title: str", f"parent: {w.parent.python}", header=GROWS_TENANT_HEADER)


TEMPLATES: list[Callable[[Writer], Plant]] = [
    _find,
    _find_by_code,
    _find_locked,
    _find_several,
    _first_page,
    _page,
    _page_upwards,
    _page_of_state,
    _page_spelled_out,
    _page_with_parent,
    _children,
    _search,
    _due,
    _exists,
    _count,
    _count_by_state,
    _total,
    _extremes,
    _totals_by_parent,
    _with_parent,
    _with_parent_if_any,
    _three_levels,
    _latest_child,
    _latest_of_each,
    _first_of_each,
    _without_children,
    _with_children,
    _oldest_free,
    _labelled,
    _as_json,
    _titles,
    _by_day,
    _running,
    _feed,
    _table_expression,
]
"""A function for each statement."""

PAGES = {_page, _page_upwards, _page_of_state, _page_spelled_out, _page_with_parent}
"""Those that are pages."""
