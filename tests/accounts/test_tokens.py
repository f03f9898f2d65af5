"""Bearer tokens: what a holder shows, and what the database keeps of it."""

from __future__ import annotations

import base64
import hashlib
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.accounts import tokens
from service.tenancy.identity import TenantId


def test_a_token_names_its_tenant_and_its_row() -> None:
    tenant = TenantId(uuid4())
    text, token = tokens.issue(tenant)
    assert tokens.read(text) == token
    assert token.tenant == tenant
    assert len(token.hash) == 32


def test_every_token_is_another() -> None:
    tenant = TenantId(uuid4())
    issued = [tokens.issue(tenant) for _ in range(100)]
    assert len({text for text, _ in issued}) == len({token.hash for _, token in issued}) == 100


def test_the_hash_is_of_the_secret_alone_and_does_not_give_it_away() -> None:
    text, token = tokens.issue(TenantId(uuid4()))
    secret = base64.urlsafe_b64decode(text.removeprefix("qs_"))[16:]
    assert len(secret) == 32
    assert token.hash == hashlib.sha256(secret).digest()
    assert token.hash.hex() not in repr(token)


def test_a_token_of_one_tenant_shown_as_anothers_finds_no_other_row_than_its_own() -> None:
    text, token = tokens.issue(TenantId(uuid4()))
    other = TenantId(uuid4())
    forged = base64.urlsafe_b64encode(other.bytes + base64.urlsafe_b64decode(text.removeprefix("qs_"))[16:]).decode()
    read = tokens.read("qs_" + forged)
    assert read is not None
    assert (read.tenant, read.hash) == (other, token.hash)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text[:-4],
        lambda text: text + "A",
        lambda text: text + "AAAA",
        lambda text: text + "=",
        lambda text: text.removeprefix("qs_"),
        lambda text: text.upper(),
        lambda text: text + "\n",
        lambda text: text[:10] + " " + text[11:],
        lambda text: text[:10] + "é" + text[11:],
        lambda _: "qs_",
        lambda _: "",
    ],
)
def test_a_token_that_is_not_whole_is_no_token(change: object) -> None:
    text, _ = tokens.issue(TenantId(uuid4()))
    assert tokens.read(change(text)) is None  # type: ignore[operator]


@given(st.one_of(st.text(), st.text().map("qs_".__add__), st.binary(max_size=60).map(lambda raw: "qs_" + raw.hex())))
def test_any_text_is_read_or_refused(text: str) -> None:
    read = tokens.read(text)
    assert read is None or len(read.hash) == 32
