"""Handlers of /v1/users: the people of a tenant who sign in."""

from __future__ import annotations

from uuid import uuid4

from pydantic import Field, TypeAdapter

from service.accounts.permissions import is_admin
from service.accounts.users import (
    WrongPassword,
    change_password,
    change_user,
    check_grant,
    check_password,
    find_changeable,
    note_wrong_password,
    remove_user,
)
from service.api.call import Call
from service.api.fields import Email, Name, Password
from service.errors import Forbidden, InvalidInput, NotFound
from service.http import answers
from service.http.answers import Created, Entity, Nothing, Page
from service.http.inputs import KEPT, NO_BODY, Body, Parsed, Patch, example
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.http.preconditions import Precondition, expected
from service.http.rendered import read_entity
from service.repos.users import KeptHash, Role, User
from service.work import Work

_USERS = TypeAdapter(list[User])


class UserQuery(PageQuery):
    """The query parameters of the list of users. Each field selects the users with this value."""

    role: Role | None = None
    is_active: bool | None = None
    email: Email | None = None


class UserDraft(Body):
    """A new user."""

    model_config = example(
        email="ada@acme.example",
        display_name="Ada",
        password="correct horse battery",  # noqa: S106  an example
        role="member",
    )

    email: Email
    display_name: Name
    password: Password
    role: Role = "member"
    is_active: bool = True


class UserPatch(Patch):
    """The fields of a user to change."""

    model_config = example(display_name="Ada L.")

    email: Email = KEPT
    display_name: Name = KEPT
    role: Role = KEPT
    is_active: bool = KEPT


class PasswordChange(Body):
    """A new password. Users who change their own password must also give the current one."""

    model_config = example(password="an even longer password", current_password="correct horse battery")  # noqa: S106  an example

    password: Password
    current_password: str | None = Field(default=None, max_length=1_000)


async def page(call: Call, query: Parsed[UserQuery]) -> Page[User]:
    """List the users, newest first."""
    return await numbered_page(call, query, _USERS, lambda work: work.users.page(**query.get().arguments()))


async def create(call: Call, body: Parsed[UserDraft]) -> Created[User]:
    """Create a user. The user's role must not be higher than the caller's."""

    async def admit(work: Work) -> UserDraft:
        draft = body.get()
        check_grant(call.caller.role, draft.role)
        await check_password(work, draft.password, draft.email, draft.display_name)
        return draft

    draft = await call.prepare(admit)
    await call.state["limits"].hit("passwords", str(call.caller.tenant), str(call.caller.id))
    # Hashing takes a while, so it is done between two transactions, never inside one.
    hashed = await call.state["passwords"].hash(draft.password, whose=call.caller.tenant)

    async def operation(work: Work) -> Created[User]:
        await admit(work)
        id = uuid4()
        user = await work.users.create(
            id=id, password_hash=work.binding.seal_hash(hashed, id), **draft.model_dump(exclude={"password"})
        )
        return answers.created(User, user, f"/v1/users/{user.id}")

    return await call.write(operation)


async def find(call: Call) -> Entity[User]:
    """Get one user."""
    return await read_entity(call, User, lambda work: work.users.find(call.id()))


async def update(call: Call, body: Parsed[UserPatch], precondition: Precondition) -> Entity[User]:
    """Change the given fields of a user."""

    async def operation(work: Work) -> Entity[User]:
        id = call.id()
        version = await expected(lambda: find_changeable(work, call.caller.role, id), body, precondition)
        return answers.entity(User, await change_user(work, call.caller.role, id, version, body.get().fields()))

    return await call.write(operation)


async def remove(call: Call, precondition: Precondition) -> Nothing:
    """Delete a user and end their sessions."""

    async def operation(work: Work) -> Nothing:
        id = call.id()
        version = await expected(lambda: find_changeable(work, call.caller.role, id), NO_BODY, precondition)
        await remove_user(work, call.caller.role, id, version)
        return answers.nothing()

    return await call.write(operation)


async def set_password(call: Call, body: Parsed[PasswordChange]) -> Nothing:
    """Replace a user's password and end the user's sessions, except the one that the request was sent with.

    Users who replace their own password must give the current one. An admin can replace the password of a user whose role is
    not higher than the admin's own.
    """

    async def admit(work: Work) -> KeptHash | None:
        """Check the caller's right and the new password. Returns the present password's stored hash, None for another user's."""
        id = call.id()
        if id != call.caller.user_id and not is_admin(call.caller.role):
            raise Forbidden
        user = await find_changeable(work, call.caller.role, id)
        await check_password(work, body.get().password, user.email, user.display_name)
        return work.users.opened(await work.users.credentials(id)) if id == call.caller.user_id else None

    current = await call.prepare(admit)
    who = (str(call.caller.tenant), str(call.caller.id))
    limits, change = call.state["limits"], body.get()
    await limits.hit("passwords", *who)
    if current is not None:
        # The attempt is counted before the comparison. So somebody who has stolen a session can't try many passwords.
        await limits.hit("current_password", *who)
    try:
        new = await change_password(
            call.state["passwords"], current, change.current_password, change.password, whose=call.caller.tenant
        )
    except WrongPassword:
        await call.run(lambda work: note_wrong_password(work, call.caller.user_id, call.origin))
        raise
    await limits.forgive("current_password", *who)

    async def operation(work: Work) -> Nothing:
        # `admit` is called again, because a role or the password may have been changed since the first transaction.
        again = await admit(work)
        # The password is set only if the row still has the stored hash that was checked. A key rotation may have sealed the same
        # hash again meanwhile; then its new stored form is expected.
        expected = again if again and current and again.opened == current.opened else current
        kept = work.binding.seal_hash(new, call.id())
        if not await work.users.set_password(call.id(), kept, current=expected and expected.kept):
            raise InvalidInput.of("current_password", "It has been changed meanwhile.") if current else NotFound
        keep = call.caller.session_id if current else None
        await work.sessions.revoke_of_user(call.id(), keep=keep)
        return answers.nothing()

    return await call.write(operation)
