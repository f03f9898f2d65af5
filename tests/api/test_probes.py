"""/livez and /readyz"""

from __future__ import annotations

from application import Api


async def test_the_process_lives_and_is_ready(api: Api) -> None:
    nobody = await api.client()
    for path in ("/livez", "/readyz"):
        answer = await nobody.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["content-type"] == "application/json"


async def test_without_its_database_it_lives_but_is_not_ready(api: Api) -> None:
    nobody = await api.client()
    await api.state["database"].pool.close()
    assert (await nobody.get("/livez")).status_code == 200
    answer = await nobody.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "failing": ["database"]})
