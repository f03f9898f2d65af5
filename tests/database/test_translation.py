"""What the driver raises, as the service's errors."""

from __future__ import annotations

import asyncpg
import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.database.translation import field_of, translate
from service.errors import (
    Contention,
    DatabaseError,
    Forbidden,
    InvalidInput,
    NotFound,
    ServiceError,
    StalePlan,
    TenantUnbound,
    Timeout,
    Unavailable,
)
from service.work import Work

STATES = [
    ("40001", Contention),
    ("40P01", Contention),
    ("57014", Timeout),
    ("55P03", Timeout),
    ("53300", Unavailable),
    ("57P01", Unavailable),
    ("57P03", Unavailable),
    ("08006", Unavailable),
    ("22003", InvalidInput),
    ("23514", InvalidInput),
    ("42501", Forbidden),
    ("P0002", NotFound),
    ("TN001", TenantUnbound),
    ("42601", DatabaseError),
    ("XX000", DatabaseError),
]


@pytest.mark.parametrize(("state", "expected"), STATES)
async def test_a_state_of_the_server_is_one_error(database: Database, state: str, expected: type[ServiceError]) -> None:
    with pytest.raises(expected) as raised:
        async with Work(database, None) as work:
            await work.connection.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'secret text' USING ERRCODE = '{state}'; END $$"
            )
    assert type(raised.value) is expected
    assert "secret" not in raised.value.message


async def test_a_value_that_the_driver_can_not_send_is_invalid_input(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(InvalidInput):
        async with Work(database, acme.id) as work:
            await work.campaigns.page(limit="fifty")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error", [asyncpg.InterfaceError("closed"), asyncpg.InternalClientError("state"), OSError(), TimeoutError()]
)
def test_a_lost_connection_is_unavailable_whatever_class_says_so(error: Exception) -> None:
    assert isinstance(translate(error, connection_lost=True), Unavailable)


def test_an_outdated_schema_cache_is_a_stale_plan() -> None:
    assert isinstance(translate(asyncpg.OutdatedSchemaCacheError(""), connection_lost=False), StalePlan)


def test_what_nobody_foresaw_stays_as_it_is() -> None:
    error = asyncpg.InterfaceError("another operation is in progress")
    assert translate(error, connection_lost=False) is error


@pytest.mark.parametrize(
    ("constraint", "table", "field"),
    [
        ("users_tenant_id_email_key", "users", "email"),
        ("brands_tenant_id_email_key", "brands", "email"),
        ("campaigns_owner_id_fkey", "campaigns", "owner_id"),
        ("campaigns_ends_on_check", "campaigns", "ends_on"),
        (None, "campaigns", None),
        ("campaigns_pkey", "campaigns", None),
    ],
)
def test_a_constraints_name_gives_the_field(constraint: str | None, table: str, field: str | None) -> None:
    assert field_of(constraint, table) == field
