"""What the engine has to know about each table. A new table has to be added here; a test compares this list with the schema.

A table of the schema `app` is named with its schema (`app.tenants`). All others are tenant tables: they exist in the schema
that tenants share and in each tenant's own schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the engine knows of a table.

    `untracked`, `unshown`, `unexported` and `shared` are '' for an ordinary table. Otherwise they contain the reason why the
    table is treated in another way.
    """

    untracked: str = ""
    """Why its changes are not recorded in the log."""
    unrecorded: Mapping[str, str] = field(default_factory=dict)
    """Columns, each with a reason: a change that touches only these columns is not recorded in the log."""
    unshown: str = ""
    """Why change streams do not show its recorded changes."""
    unexported: str = ""
    """Why its rows are not in the archive that exports a tenant."""
    admits: bool = False
    """Whether its rows decide who may read: after a change to them, the admission of open change streams is checked again."""
    shared: str = ""
    """If all tenants read the same rows: why. A change to them makes cached results of all tenants out of date."""
    referred_to_by: str = ""
    """For a shared table: the column by which tenants' rows refer to it. An import finds the referenced rows by their names."""
    is_history: bool = False
    """Whether a tenant's archive contains its rows only as information, so that an import skips them."""


_LOG = "the log itself"
_OF_ACCOUNTS = "who signs in, and how, is for the audit"

_ENGINE: Mapping[str, Table] = {
    "app.tenants": Table(admits=True),
    "app.schemas": Table(
        untracked="where rows are kept, which never changes", unexported="where this installation keeps the rows"
    ),
    "app.heads": Table(untracked=_LOG, unexported="the counter of the log, which an import sets above the old numbers"),
    "app.commits": Table(untracked=_LOG, is_history=True),
    "app.changes": Table(untracked=_LOG, is_history=True),
    "app.cursors": Table(
        untracked="how far the log has been read", unexported="how far consumers of this installation have read"
    ),
    "app.installation": Table(unshown="one row about the database itself", unexported="about this installation"),
    "users": Table(admits=True),
    "sessions": Table(
        unrecorded={"last_seen_at": "being seen is not news"},
        unshown=_OF_ACCOUNTS,
        unexported="opened with tokens of this installation; people sign in again",
        admits=True,
    ),
    "api_keys": Table(unrecorded={"last_used_at": "being used is not news"}, unshown=_OF_ACCOUNTS, admits=True),
    "change_tickets": Table(untracked="live for a minute and are used once", unexported="live for a minute"),
    "sign_in_failures": Table(untracked="a log of its own"),
    "otps": Table(untracked="codes live for minutes and nobody streams them", unexported="codes live for minutes"),
    "idempotency_keys": Table(
        untracked="answers to repeat, kept for a day; what they tell of is recorded itself",
        unexported="answers to repeat, kept for a day",
    ),
}
DOMAIN: Mapping[str, Table] = {
    "app.niches": Table(
        unshown="it belongs to no tenant; a change makes cached answers old",
        shared="reference data that all tenants share; written by the platform",
        referred_to_by="niche_id",
    ),
    "brands": Table(),
    "brand_niches": Table(),
    "influencers": Table(),
    "influencer_niches": Table(),
    "campaigns": Table(),
    "campaign_influencers": Table(),
    "contents": Table(),
}
"""The tables of creator marketing, the field of this service. These entries are all that the engine knows about them."""
TABLES: Mapping[str, Table] = {**_ENGINE, **DOMAIN}


def bare(name: str) -> str:
    """The name of a table without its schema, as in the log and in the cache."""
    return name.removeprefix("app.")


SHOWN = frozenset(bare(name) for name, each in TABLES.items() if not each.untracked and not each.unshown)
"""Tables whose changes are sent in change streams. A commit that touched no such table is sent without changes, so that no
number is missing in a stream."""
ADMITTING = frozenset(bare(name) for name, each in TABLES.items() if each.admits)
SHARED = frozenset(bare(name) for name, each in TABLES.items() if each.shared)
REFERRED_TO_BY: Mapping[str, str] = {bare(name): each.referred_to_by for name, each in TABLES.items() if each.shared}
OF_APP = frozenset(bare(name) for name in TABLES if name.startswith("app."))
UNTRACKED: Mapping[str, str] = {name: each.untracked for name, each in TABLES.items() if each.untracked}
UNRECORDED: Mapping[str, frozenset[str]] = {
    bare(name): frozenset(each.unrecorded) for name, each in TABLES.items() if each.unrecorded
}
UNEXPORTED: Mapping[str, str] = {bare(name): each.unexported for name, each in TABLES.items() if each.unexported}
HISTORY = frozenset(bare(name) for name, each in TABLES.items() if each.is_history)
