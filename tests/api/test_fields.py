"""What a field takes, one by one: each wrong value is refused by its name, each right one is kept as it was meant."""

from __future__ import annotations

from typing import Any

from arranging.accounts import NewTenant
from arranging.application import Api, wrong_fields
from arranging.drafts import LISTS, draft_of, list_of, path_of
from arranging.factories import Factory

CONTROL = ["a\x00b", "\x1bred", "a\x7fb", "a\x85b", "\x08x"]
TEXT = ["", " ", "\t\n", "x" * 201, "two\nlines", "tab\there", *CONTROL, 1, True, ["x"], {"x": 1}]
NUMBERS = ["5", 5.0, 5.5, True, False, -1, 2**53, 10**30, [], "", "5 EUR"]
DAYS = ["2026-13-01", "2026-02-29", "2026-6-1", "20260601", "2026-06-01T00:00:00", "1780272000", 1780272000, "", "today",
        "0000-01-01", "2026-06-01 ", "٢٠٢٦-٠٦-٠١", True, "10000-01-01"]  # fmt: skip
URLS = ["", "example.com", "ftp://example.com", "javascript:alert(1)", "https://", "https:///x", "https://?x",
        "https://exa mple.com", "https://example.com/\x00", "https://example.com/\nx", "//example.com",
        f"https://example.com/{'x' * 1_981}", 1]  # fmt: skip
EMAILS = ["", "x", "x@", "@x", "a@b@c", "a b@c.example", "a@b c", "a@.example", "a@b..c", "a\x00@b.example", "a@b.example\x7f",
          f"{'x' * 320}@b.example", 1]  # fmt: skip
PHONES = ["", "4155550123", "+0415555012", "+123456", "+1234567890123456", "+1 415 555 0123", "+1415555o123", "tel:+14155550123",
          "+1415555\u0660123", 14155550123, True]  # fmt: skip
USERNAMES = ["", "ab", "x" * 51, "Mina", "mi na", "mina-park", "mína", "mina\n.", "@mina", 123]
DOCUMENTS = ["", " ", "x" * 2_001, "a\nb", *CONTROL, 1]
FLAGS = ["true", 1, 0, "", None]
PROFILE: dict[str, list[Any]] = {
    "username": [*USERNAMES, None],
    "email": [*EMAILS, None],
    "phone": [*PHONES, None],
    "bio": ["x" * 10_001, *CONTROL, 1],
    "profile_image": URLS,
    "is_active": FLAGS,
}
WRONG: dict[str, dict[str, list[Any]]] = {
    "campaigns": {
        "name": [*TEXT, None],
        "description": ["x" * 10_001, *CONTROL, 1],
        "status": ["", "Draft", "deleted", 1, None],
        "owner_id": ["", "x", 1, "12345678-1234-5678-1234-56781234567"],
        "brand_id": ["x", 1],
        "budget_minor": [*NUMBERS, None],
        "currency": ["", "usd", "US", "USDX", " USD", "USD\n", "€", "123", "XXX", "ZZZ", "XAU", "DEM", 840, None],
        "starts_on": DAYS,
        "ends_on": DAYS,
    },
    "contents": {
        "kind": ["", "song", None],
        "title": [*TEXT, None],
        "body": ["x" * 10_001, *CONTROL, 1],
        "url": URLS,
        "status": ["", "live", None],
    },
    "users": {
        "email": [*EMAILS, None],
        "display_name": [*TEXT, None],
        "role": ["", "Owner", "root", None],
        "is_active": FLAGS,
    },
    "brands": {
        "brand_name": [*TEXT, None],
        **dict.fromkeys(("legal_entity_name", "poc_name", "poc_designation"), TEXT),
        "company_type": ["", "gmbh", "LLP", 1],
        **dict.fromkeys(("brand_email", "poc_email"), EMAILS),
        "poc_contact_number": PHONES,
        **dict.fromkeys(("incorporation_document", "gst_document", "pan_document"), DOCUMENTS),
        **PROFILE,
    },
    "influencers": {
        "name": [*TEXT, None],
        "date_of_birth": [*DAYS, "9999-12-31"],
        "gender": ["", "Female", "f", 1],
        **PROFILE,
    },
}
RIGHT_PROFILE: dict[str, list[Any]] = {
    "username": ["a.b", "_" * 50, "0123"],
    "email": ["a@b", f"{'x' * 309}@example.co"],
    "phone": ["+1234567", "+123456789012345"],
    "bio": [None, "", "🎬" * 10_000, "two\nlines\r\n\tand a tab"],
    "profile_image": [None, "https://example.com/ü.png", f"https://example.com/{'x' * 1_980}"],
    "is_active": [False, True],
}
RIGHT: dict[str, dict[str, list[Any]]] = {
    "campaigns": {
        "name": ["x", "x" * 200, "Été 🎬", "O'Brien; DROP TABLE campaigns; --", "$1 :name %s {}", "نمی\u200cخواهم"],
        "description": [None, "", "x" * 10_000, "two\nlines\r\n\tand a tab", "🎬" * 10_000],
        "status": ["draft", "active"],
        "budget_minor": [0, 1, 2**53 - 1],
        "currency": ["EUR", "JPY"],
        "starts_on": [None, "2024-02-29", "0001-01-01"],
        "ends_on": [None, "9999-12-31"],
    },
    "contents": {
        "kind": ["post", "reel", "story", "video", "article"],
        "title": ["x", "x" * 200],
        "body": [None, "", "x" * 10_000],
        "url": [None, "https://example.com", "http://example.com:8080/a?b=c#d", "HTTPS://Example.com/ü",
                f"https://example.com/{'x' * 1_980}"],
        "status": ["draft", "submitted", "approved"],
    },
    "users": {
        "email": ["a@b", "first.last+tag@sub.example.com", "ü@example.com", f"{'x' * 309}@example.co"],
        "display_name": ["x", "x" * 200],
        "role": ["viewer", "member", "admin", "owner"],
        "is_active": [True, False],
    },
    "brands": {
        "brand_name": ["x", "x" * 200],
        "legal_entity_name": [None, "x" * 200],
        "company_type": [None, "private_limited", "public_limited", "llp", "partnership", "sole_proprietorship", "other"],
        "brand_email": ["a@b", None],
        "poc_name": ["Jo", None],
        "poc_designation": ["x" * 200, None],
        "poc_email": [f"{'x' * 309}@example.co", None],
        "poc_contact_number": ["+1234567", "+123456789012345", None],
        "incorporation_document": ["x", "x" * 2_000, None],
        "gst_document": ["vault/1", None],
        "pan_document": ["https://vault.example/1?a=b", None],
        **RIGHT_PROFILE,
    },
    "influencers": {
        "name": ["x", "x" * 200],
        "date_of_birth": [None, "1998-04-12", "2024-02-29"],
        "gender": [None, "female", "male", "other", "undisclosed"],
        **RIGHT_PROFILE,
    },
}  # fmt: skip


async def lists(new: Factory, acme: NewTenant) -> dict[str, str]:
    return {kind: await list_of(kind, new, acme) for kind in LISTS}


async def rows(new: Factory, acme: NewTenant) -> dict[str, str]:
    return {kind: await path_of(kind, new, acme) for kind in LISTS}


async def test_a_wrong_value_is_refused_on_creation(serve: Any, new: Factory, acme: NewTenant) -> None:
    client = await (await serve(rate_limit_passwords="off")).client(acme)
    for kind, path in (await lists(new, acme)).items():
        before = (await client.get(path)).json()
        for field, values in WRONG[kind].items():
            for value in values:
                answer = await client.post(path, json={**draft_of(kind), field: value})
                assert (value, wrong_fields(answer)) == (value, [field])
        assert (await client.get(path)).json() == before


async def test_a_wrong_value_is_refused_on_change(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind, path in (await rows(new, acme)).items():
        for field, values in WRONG[kind].items():
            for value in values:
                answer = await client.patch(path, json={field: value}, headers={"If-Match": '"1"'})
                assert (value, wrong_fields(answer)) == (value, [field])


async def test_a_right_value_is_kept(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind, path in (await rows(new, acme)).items():
        for field, values in RIGHT[kind].items():
            for value in values:
                answer = await client.patch(path, json={field: value}, headers={"If-Match": "*"})
                assert answer.status_code == 200, answer.text
                assert answer.json()[field] == value
                assert (await client.get(path)).json() == answer.json()


async def test_text_is_trimmed(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await rows(new, acme)
    for kind, field, value in (
        ("campaigns", "name", "a  b"),
        ("campaigns", "description", "a\n b"),
        ("contents", "title", "x" * 200),
        ("contents", "url", "https://example.com"),
        ("users", "display_name", "a b"),
        ("brands", "brand_name", "a b"),
        ("brands", "username", "a.b"),
        ("brands", "poc_contact_number", "+1234567"),
        ("brands", "gst_document", "vault/1"),
        ("influencers", "phone", "+123456789012345"),
        ("influencers", "bio", "a\n b"),
    ):
        answer = await client.patch(
            path[kind], json={field: f" \n\t\u3000{value}\u00a0\r\n "}, headers={"If-Match": "*"}
        )
        assert answer.json()[field] == value


async def test_an_address_is_kept_in_lower_case(api: Api, new: Factory, acme: NewTenant) -> None:
    client, paths = await api.client(acme), await rows(new, acme)
    fields = [(kind, "email") for kind in ("users", "brands", "influencers")]
    for kind, field in [*fields, ("brands", "brand_email"), ("brands", "poc_email")]:
        for given in (" First.Last@EXAMPLE.com ", "ÄÖ@Example.com", "İ@example.com"):
            answer = await client.patch(paths[kind], json={field: given}, headers={"If-Match": "*"})
            assert answer.json()[field] == given.strip().lower()


async def test_every_wrong_field_is_named_at_once(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await lists(new, acme)
    assert wrong_fields(await client.post(path["campaigns"], json={})) == ["name"]
    assert wrong_fields(await client.post(path["contents"], json={})) == ["kind", "title"]
    assert wrong_fields(await client.post(path["users"], json={})) == ["email", "display_name", "password"]
    assert wrong_fields(await client.post(path["brands"], json={})) == ["brand_name", "username", "email", "phone"]
    assert wrong_fields(await client.post(path["influencers"], json={})) == ["name", "username", "email", "phone"]
    wrong = {"name": "", "budget_minor": -1, "starts_on": "x", "x": 1, "currency": "?"}
    assert sorted(wrong_fields(await client.post(path["campaigns"], json=wrong))) == sorted(wrong)
    id = {"id": "00000000-0000-0000-0000-000000000000", "tenant_id": str(acme.id), "version": 7}
    assert sorted(wrong_fields(await client.post(path["campaigns"], json={"name": "A", **id}))) == sorted(id)
