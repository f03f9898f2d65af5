"""/v1/tenant"""

from __future__ import annotations

from pydantic_core import to_json
from starlette.responses import Response

from service.api import answers
from service.api.caller import Call
from service.api.inputs import KEPT, JsonObject, Name, Patch
from service.api.preconditions import expected
from service.repos.rows import settled
from service.repos.tenants import Tenant
from service.work import Work


class TenantPatch(Patch):
    """What an admin may change of their own tenant; domain, status and plan are the platform's."""

    name: Name = KEPT
    features: JsonObject = KEPT
    configuration: JsonObject = KEPT


async def find(call: Call) -> Response:
    """The caller's tenant."""
    return answers.entity(Tenant, await call.run(lambda work: work.tenants.current()))


async def update(call: Call) -> Response:
    """Change the given fields of the caller's tenant."""
    change, precondition = await call.body(TenantPatch), call.precondition

    async def operation(work: Work) -> Tenant:
        version = await expected(work.tenants.current, change, precondition)
        fields = change.get().fields()
        for name in fields.keys() & {"features", "configuration"}:
            fields[name] = to_json(fields[name]).decode()
        return settled(await work.tenants.update(version=version, given=list(fields), **fields))

    return answers.entity(Tenant, await call.run(operation))
