"""What every service writes into its tables: new rows, changes of one or many, and what they return."""

from __future__ import annotations

from collections.abc import Callable

from checks.everyday_writer import GROWS_TENANT_HEADER, Writer, fields, listed
from checks.planting import Plant


def _insert(w: Writer) -> Plant:
    columns = [w.parent, w.b.title, w.b.note, w.b.state, w.b.amount, w.b.due, w.b.code]
    names = ["parent", "title", "note", "state", "amount", "due", "new_code"]
    sql = (
        f"INSERT INTO {w.b.name} (tenant_id, {', '.join(each.name for each in columns)})"
        f" VALUES (:tenant_id, {', '.join(f':{each}' for each in names)}) RETURNING id, created_at"
    )
    takes = ", ".join(f"{name}: {each.hint}" for name, each in zip(names, columns, strict=True))
    return Plant(sql, "one", f"{w.id}; created_at: datetime", takes)


def _upsert(w: Writer) -> Plant:
    b = w.b
    sql = (
        f"INSERT INTO {b.name} AS b (tenant_id, {w.parent.name}, {b.title.name}, {b.state.name}, {b.amount.name}, {b.code.name})"
        f" VALUES (:tenant_id, :parent, :title, :state, :amount, :code) ON CONFLICT (tenant_id, {b.code.name})"
        f" DO UPDATE SET {b.title.name} = excluded.{b.title.name}, version = b.version + 1 RETURNING id, (xmax = 0) AS is_new"
    )
    takes = f"parent: {w.parent.hint}, title: str, state: {b.state.hint}, amount: {b.amount.hint}, code: {b.code.hint}"
    return Plant(sql, "one", f"{w.id}; is_new: bool", takes)


def _insert_if_new(w: Writer) -> Plant:
    b = w.b
    sql = (
        f"INSERT INTO {b.name} (tenant_id, {w.parent.name}, {b.title.name}, {b.state.name}, {b.amount.name}, {b.code.name})"
        f" SELECT :tenant_id, a.id, :title, :state, :amount, :code FROM {w.a.source} WHERE {w.a.bound} AND a.id = :parent"
        " ON CONFLICT DO NOTHING RETURNING id"
    )
    takes = f"parent: {w.a.key.python}, title: str, state: {b.state.hint}, amount: {b.amount.hint}, code: {b.code.hint}"
    return Plant(sql, "maybe", w.id, takes)


def _update(w: Writer) -> Plant:
    sql = (
        f"UPDATE {w.b.source} SET {w.b.title.name} = :title, {w.b.note.name} = :note, version = b.version + 1"
        f" WHERE {w.b.bound} AND b.id = :id AND b.version = :version RETURNING {listed(w.b, w.shown)}"
    )
    return Plant(sql, "maybe", fields(w.shown), f"{w.id}, title: str, note: str | None, version: int")


def _set_state(w: Writer) -> Plant:
    sql = f"UPDATE {w.b.source} SET {w.b.state.name} = :state WHERE {w.b.bound} AND b.{w.parent.name} = :parent"
    return Plant(sql, "count", takes=f"state: {w.b.state.hint}, parent: {w.parent.python}", header=GROWS_TENANT_HEADER)


def _update_from_parent(w: Writer) -> Plant:
    sql = (
        f"UPDATE {w.b.source} SET {w.b.note.name} = a.{w.a.title.name} FROM {w.a.source} WHERE {w.b.bound} AND {w.a.bound}"
        f" AND a.id = b.{w.parent.name} AND b.id = :id RETURNING b.id, a.{w.a.title.name} AS said"
    )
    return Plant(sql, "maybe", f"{w.id}; said: str", w.id)


def _soft_delete(w: Writer) -> Plant:
    sql = f"UPDATE {w.b.source} SET deleted_at = now() WHERE {w.b.bound} AND b.deleted_at IS NULL AND b.id = :id"
    return Plant(sql, "count", takes=w.id)


def _delete(w: Writer) -> Plant:
    return Plant(f"DELETE FROM {w.c.source} WHERE {w.c.bound} AND c.id = :child RETURNING c.id", "maybe", f"id: {w.c.key.python}",
                 f"child: {w.c.key.python}")  # fmt: skip


def _delete_of_parent(w: Writer) -> Plant:
    sql = (
        f"DELETE FROM {w.c.source} USING {w.b.source} WHERE {w.c.bound} AND {w.b.bound}"
        f" AND b.id = c.{w.child.name} AND b.id = :id"
    )
    return Plant(sql, "count", takes=w.id, header=GROWS_TENANT_HEADER)


def _change_and_show(w: Writer) -> Plant:
    sql = (
        f"WITH changed AS (UPDATE {w.b.source} SET version = b.version + 1 WHERE {w.b.bound} AND b.id = :id"
        f" RETURNING b.id, b.{w.parent.name} AS up) SELECT h.id, a.{w.a.title.name} AS parent FROM changed AS h"
        f" LEFT JOIN {w.a.source} ON {w.a.bound} AND a.id = h.up"
    )
    return Plant(sql, "maybe", f"{w.id}; parent: str | None", w.id)


def _merge(w: Writer) -> Plant:
    b = w.b
    sql = (
        f"MERGE INTO {b.source} USING (SELECT :code::{b.code.sql} AS code, :title::text AS title) AS s"
        f" ON b.tenant_id = :tenant_id AND b.{b.code.name} = s.code"
        f" WHEN MATCHED THEN UPDATE SET {b.title.name} = s.title WHEN NOT MATCHED THEN INSERT"
        f" (tenant_id, {w.parent.name}, {b.title.name}, {b.state.name}, {b.amount.name}, {b.code.name})"
        " VALUES (:tenant_id, :parent, s.title, :state, :amount, s.code)"
    )
    takes = (
        f"code: {b.code.hint}, title: str, parent: {w.parent.python}, state: {b.state.hint}, amount: {b.amount.hint}"
    )
    return Plant(sql, "count", takes=takes)


def _insert_many(w: Writer) -> Plant:
    c = w.c
    sql = (
        f"INSERT INTO {c.name} (tenant_id, {w.child.name}, {c.title.name}, {c.state.name}, {c.amount.name}, {c.code.name})"
        f" SELECT :tenant_id, :id, u.title, :child_state, :child_amount, u.code"
        f" FROM unnest(:titles::text[], :new_codes::{c.code.sql}[]) AS u (title, code)"
        " WHERE u.title IS NOT NULL AND u.code IS NOT NULL"
    )
    takes = (
        f"{w.id}, child_state: {c.state.hint}, child_amount: {c.amount.hint}, titles: list[str],"
        f" new_codes: list[{c.code.python}]"
    )
    return Plant(sql, "count", takes=takes)


TEMPLATES: list[Callable[[Writer], Plant]] = [
    _insert,
    _upsert,
    _insert_if_new,
    _update,
    _set_state,
    _update_from_parent,
    _soft_delete,
    _delete,
    _delete_of_parent,
    _change_and_show,
    _merge,
    _insert_many,
]
"""A function for each statement."""
