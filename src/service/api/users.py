"""/v1/users"""

from __future__ import annotations

from pydantic import Field, TypeAdapter
from starlette.responses import Response

from service.api import answers
from service.api.caller import Call
from service.api.inputs import KEPT, NO_BODY, Body, Email, Name, Password, Patch
from service.api.pages import PageQuery
from service.api.preconditions import expected
from service.errors import Forbidden, InvalidInput, NotFound
from service.permissions import is_admin
from service.repos.users import Role, User
from service.work import Work
from service.workflows import change_password, change_user, check_grant, find_changeable, remove_user

_USERS = TypeAdapter(list[User])


class UserQuery(PageQuery):
    """Filters of the list."""

    role: Role | None = None
    is_active: bool | None = None
    email: Email | None = None


class UserDraft(Body):
    """A new user."""

    email: Email
    display_name: Name
    password: Password
    role: Role = "member"
    is_active: bool = True


class UserPatch(Patch):
    """The fields of a user to change."""

    email: Email = KEPT
    display_name: Name = KEPT
    role: Role = KEPT
    is_active: bool = KEPT


class PasswordChange(Body):
    """A new password; people who change their own say the old one too."""

    password: Password
    current_password: str | None = Field(default=None, max_length=1_000)


async def page(call: Call) -> Response:
    """List the users, newest first."""
    query = call.query(UserQuery)
    rows = await call.run(lambda work: work.users.page(**query.get().arguments()))
    return answers.page(_USERS, rows, query.get().limit)


async def create(call: Call) -> Response:
    """Create a user, with a role not above the caller's."""
    body = await call.body(UserDraft)

    async def admit(_: Work) -> UserDraft:
        draft = body.get()
        check_grant(call.caller.role, draft.role)
        return draft

    draft = await call.run(admit)
    # Hashing takes a while: between two transactions, never inside one.
    password_hash = await call.state["passwords"].hash(draft.password)

    async def operation(work: Work) -> User:
        await admit(work)
        return await work.users.create(**draft.model_dump(exclude={"password"}), password_hash=password_hash)

    user = await call.run(operation)
    return answers.entity(User, user, 201, location=f"/v1/users/{user.id}")


async def find(call: Call) -> Response:
    """One user."""
    return answers.entity(User, await call.run(lambda work: work.users.find(call.id())))


async def update(call: Call) -> Response:
    """Change the given fields of a user."""
    change, precondition = await call.body(UserPatch), call.precondition

    async def operation(work: Work) -> User:
        id = call.id()
        version = await expected(lambda: find_changeable(work, call.caller.role, id), change, precondition)
        return await change_user(work, call.caller.role, id, version, change.get().fields())

    return answers.entity(User, await call.run(operation))


async def remove(call: Call) -> Response:
    """Delete a user and end their sessions."""
    precondition = call.precondition

    async def operation(work: Work) -> None:
        id = call.id()
        version = await expected(lambda: find_changeable(work, call.caller.role, id), NO_BODY, precondition)
        await remove_user(work, call.caller.role, id, version)

    await call.run(operation)
    return answers.nothing()


async def set_password(call: Call) -> Response:
    """Replace a password: one's own with the old one, anybody's as an admin. Ends the user's other sessions."""
    body = await call.body(PasswordChange)

    async def admit(work: Work) -> str | None:
        """The hash that the old password must match, None where an admin needs none."""
        id = call.id()
        if id == call.caller.user_id:
            body.get()
            return (await work.users.credentials(id)).password_hash
        if not is_admin(call.caller.role):
            raise Forbidden
        await find_changeable(work, call.caller.role, id)
        body.get()
        return None

    current = await call.run(admit)
    change = body.get()
    new = await change_password(call.state["passwords"], current, change.current_password, change.password)

    async def operation(work: Work) -> None:
        # Time has passed: the caller's role, or the password that was compared, may be another now.
        await admit(work)
        if not await work.users.set_password(call.id(), new, current=current):
            raise InvalidInput.of("current_password", "It has been changed meanwhile.") if current else NotFound
        keep = call.caller.session_id if current else None
        await work.sessions.revoke_of_user(call.id(), keep=keep)

    await call.run(operation)
    return answers.nothing()
