"""Problem documents: one form for everything that is refused, and nothing in it that is not for the user."""

from __future__ import annotations

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.factories import Factory
from service import errors
from service.api.routes import ENDPOINTS
from service.http.answers import STATUS
from service.http.answers import problem as render


async def test_an_unknown_path_is_not_found(api: Api, acme: NewTenant) -> None:
    for client in (await api.client(), await api.client(acme)):
        for path in (
            "/", "/v1", "/v1/", "/v1/campaigns/", "/v1/Campaigns", "/V1/campaigns", "//v1/campaigns", "/v2/campaigns", "/../etc",
            "/v1/campaigns/x/y", "/v1/users/x/password/y", "/livez/", "/v1/%00", "/v1/campaigns%2F",
        ):  # fmt: skip
            for method in ("GET", "POST", "PATCH", "DELETE"):
                problem(await client.request(method, path, content=b"{}"), 404, "not_found")


async def test_what_is_no_id_is_not_found(api: Api, new: Factory, acme: NewTenant) -> None:
    client, id = await api.client(acme), (await new.campaign(acme)).id
    for wrong in ("x", "0", "null", "%00", "%FF", "%C3%A9", id.hex, f"{{{id}}}", f"urn:uuid:{id}", f" {id}", f"{id}%0A",
                  str(id)[:-1], f"{str(id)[:-1]}_", "1' OR '1'='1", "x" * 5_000):  # fmt: skip
        for path in (
            f"/v1/campaigns/{wrong}",
            f"/v1/users/{wrong}",
            f"/v1/campaigns/{wrong}/contents",
            f"/v1/niches/{wrong}",
        ):
            problem(await client.get(path), 404, "not_found")
    assert (await client.get(f"/v1/campaigns/{str(id).upper()}")).status_code == 200


async def test_a_wrong_method_is_told_the_right_ones(api: Api, acme: NewTenant) -> None:
    allowed: dict[str, set[str]] = {}
    for endpoint in ENDPOINTS:
        allowed.setdefault(endpoint.path, set()).update(
            {endpoint.method, *(["HEAD"] if endpoint.method == "GET" else [])}
        )
    for client in (await api.client(), await api.client(acme)):
        for path, methods in allowed.items():
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"} - methods:
                answer = await client.request(method, path, content=b"{")
                if method == "HEAD":
                    assert answer.status_code == 405
                else:
                    problem(answer, 405, "method_not_allowed")
                assert answer.headers["allow"] == ", ".join(sorted(methods))


async def test_a_request_keeps_the_id_that_its_client_gave(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for id in ("1", "a.b_c-D9", "x" * 64):
        for path in ("/v1/campaigns", "/v1/unknown", "/livez", "/v1/campaigns/x"):
            answer = await client.get(path, headers={"Request-Id": id})
            assert answer.headers.get_list("request-id") == [id]


async def test_what_is_no_request_id_is_replaced(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    given = ("", "x" * 65, "a b", "a/b", "é", "a\t", "'; DROP TABLE x", "a,b", "²")
    answers = [await client.get("/v1/unknown", headers={"Request-Id": id.encode("latin-1")}) for id in given]
    answers += [await client.get("/v1/unknown") for _ in range(2)]
    ids = [problem(answer, 404, "not_found")["request_id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & set(given)


@pytest.mark.parametrize("code", STATUS)
def test_a_code_has_its_status_and_a_title(code: str) -> None:
    error = type("Anything", (errors.ServiceError,), {"code": code})("What happened.")
    answer = render(error, "id")
    assert answer.status_code == STATUS[code]
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    assert (b"What happened." in answer.body) == (code != "internal")


def test_every_error_has_a_code_that_the_contract_knows() -> None:
    def below(kind: type[errors.ServiceError]) -> set[type[errors.ServiceError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__() if each.__module__ == "service.errors"))

    assert {kind.code for kind in below(errors.DatabaseError) | below(errors.RequestError)} <= set(STATUS)


async def test_what_nobody_foresaw_is_internal_and_keeps_its_secret(
    api: Api, acme: NewTenant, superuser: object
) -> None:
    client = await api.client(acme)
    superuser.execute(  # type: ignore[attr-defined]
        "CREATE FUNCTION quarry.fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'secret of the database' USING ERRCODE = 'XX001'; END$$;"
        "CREATE TRIGGER a_fail BEFORE INSERT ON quarry.campaigns FOR EACH ROW EXECUTE FUNCTION quarry.fail()"
    )
    superuser.commit()  # type: ignore[attr-defined]
    answer = await client.post("/v1/campaigns", json={"name": "Summer"})
    assert problem(answer, 500, "internal")["detail"] == "Something went wrong on our side."
    assert "secret" not in answer.text
    assert "XX001" not in answer.text
    assert (await client.get("/v1/campaigns")).json()["items"] == []


async def test_nothing_of_the_database_is_shown(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), f"/v1/campaigns/{(await new.campaign(acme, status='archived')).id}"
    any_version = {"If-Match": "*"}
    owner = {"email": "owner@acme.example", "display_name": "A", "password": "a new password"}
    answers = [
        await client.post("/v1/users", json=owner),
        await client.patch(path, json={"status": "draft"}, headers=any_version),
        await client.patch(path, json={"owner_id": str(acme.id)}, headers=any_version),
        await client.patch(path, json={"starts_on": "2026-02-01", "ends_on": "2026-01-01"}, headers=any_version),
        await client.delete(f"/v1/users/{acme.owner.id}", headers=any_version),
    ]
    for answer in answers:
        assert answer.status_code in (409, 422)
        for word in (
            "constraint",
            "_fkey",
            "_key",
            "_check",
            "violat",
            "relation",
            "SQL",
            "trigger",
            "asyncpg",
            "TN0",
            "$1",
        ):
            assert word not in answer.text
