"""Handlers of /v1/keys: API keys, with which programs send requests."""

from __future__ import annotations

from pydantic import TypeAdapter

from service.accounts import tokens
from service.accounts.users import check_grant
from service.api.call import Call
from service.api.fields import Moment, Name
from service.errors import InvalidInput, NotFound
from service.http import answers
from service.http.answers import Created, Nothing, Page
from service.http.inputs import Body, Parsed, example
from service.http.pages import PageQuery
from service.repos.api_keys import ApiKey, KeyRole
from service.work import Work

_KEYS = TypeAdapter(list[ApiKey])


class KeyQuery(PageQuery):
    """The query parameters of the list of keys. With `role`, only keys with this role are listed."""

    role: KeyRole | None = None


class KeyDraft(Body):
    """A new key. Its role must not be higher than the caller's. A key without `expires_at` is valid until it is revoked."""

    model_config = example(name="Nightly import", role="member")

    name: Name
    role: KeyRole = "member"
    expires_at: Moment | None = None


class NewKey(ApiKey):
    """A new key. `key` is the secret text that the program sends as its bearer token; only this answer shows it."""

    key: str


async def page(call: Call, query: Parsed[KeyQuery]) -> Page[ApiKey]:
    """List the keys that are not revoked, newest first."""
    rows = await call.run(lambda work: work.api_keys.page(**query.get().arguments()))
    return answers.page(_KEYS, rows, query.get().limit)


async def create(call: Call, body: Parsed[KeyDraft]) -> Created[NewKey]:
    """Create an API key for a program. The text of the key is shown only in this answer."""

    async def operation(work: Work) -> Created[NewKey]:
        draft = body.get()
        check_grant(call.caller.role, draft.role)
        text, token = tokens.issue(call.caller.tenant, "key")
        maker = call.caller.user_id
        mac = work.binding.mac(tokens.key_fields(token.hash, maker, draft.role))
        key = await work.api_keys.create(**dict(draft), key_hash=token.hash, key_mac=mac, created_by=maker)
        if key.expires_at is not None and key.expires_at <= key.created_at:
            raise InvalidInput.of("expires_at", "this is in the past")
        return answers.created(NewKey, NewKey(**dict(key), key=text))

    return await call.write(operation)


async def revoke(call: Call) -> Nothing:
    """Revoke an API key: requests with this key are refused from now on."""

    async def operation(work: Work) -> Nothing:
        if not await work.api_keys.revoke(call.id()):
            raise NotFound("There is no such key.")
        return answers.nothing()

    return await call.write(operation)
