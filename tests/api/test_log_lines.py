"""What a request leaves in the log: its id, its tenant, and no more of either."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from arranging.accounts import NewTenant
from arranging.application import Api
from arranging.factories import Factory


@pytest.fixture(autouse=True)
def told() -> None:
    """Every line, as in earnest."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))


async def test_a_line_names_the_request_and_the_tenant(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await client.get("/v1/campaigns", headers={"Request-Id": "mine"})
    (line,) = [each for each in lines if each["event"] == "answered"]
    assert (line["request_id"], line["tenant"], line["status"]) == ("mine", str(acme.id), 200)


async def test_the_next_request_is_not_taken_for_the_tenants(api: Api, acme: NewTenant) -> None:
    client, nobody = await api.client(acme), await api.client()
    await client.get("/v1/campaigns")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await nobody.get("/livez")
        await nobody.get("/v1/campaigns")
    assert [each.get("tenant") for each in lines if each["event"] == "answered"] == [None, None]


async def test_a_token_s_row_that_the_service_has_not_written_is_told(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    headers = {"Authorization": f"Bearer {await new.token(acme)}"}
    superuser.execute("UPDATE quarry.sessions SET token_mac = sha256('by hand')")
    superuser.commit()
    client = await api.client()
    with capture_logs() as lines:
        assert (await client.get("/v1/campaigns", headers=headers)).status_code == 401
    told = [(each["log_level"], each["kind"]) for each in lines if each["event"] == "token_mac_mismatch"]
    assert told == [("error", "session")]
