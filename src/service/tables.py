"""The properties of each table that the log, the cache, change streams and tenant archives have to know.

A new table has to be added here; a test compares this list with the schema. The names of tables in the schema `app` include the
schema (`app.tenants`). All others are tenant tables: they exist in the schema that tenants share, and again in the own schema of
each tenant that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Table:
    """The properties of one table.

    `untracked`, `unshown`, `unexported` and `shared` are properties with a reason: the text is the reason, and '' means that the
    table does not have the property.
    """

    untracked: str = ""
    """If changes of its rows are not recorded in the log: the reason."""
    unrecorded: Mapping[str, str] = field(default_factory=dict)
    """Keys: columns. A change of only these columns is not recorded in the log. Values: the reason for each column."""
    unshown: str = ""
    """If change streams do not contain the recorded changes of its rows: the reason."""
    unexported: str = ""
    """If the archive of an exported tenant does not contain its rows: the reason."""
    admits: bool = False
    """Whether its rows decide which requests are admitted. After a change of such a row, open streams are checked again."""
    shared: str = ""
    """If all tenants read the same rows: the reason. A change of these rows makes cached results with shared data invalid."""
    referred_to_by: str = ""
    """For a shared table: the column by which tenant tables refer to it. An import finds the referred row by its name."""
    is_history: bool = False
    """Whether the archive of an exported tenant contains its rows only as information. An import does not insert such rows."""


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
"""The tables that are specific to creator marketing. A service for another field has other tables here."""
TABLES: Mapping[str, Table] = {**_ENGINE, **DOMAIN}


def bare(name: str) -> str:
    """The name of a table without `app.`. The log and the cache use this form."""
    return name.removeprefix("app.")


SHOWN = frozenset(bare(name) for name, each in TABLES.items() if not each.untracked and not each.unshown)
"""Tables whose changes are sent in change streams. A commit that touched none of these tables is also sent, with an empty list
of changes, so that no commit number is missing in a stream."""
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
