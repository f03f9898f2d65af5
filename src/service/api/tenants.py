"""Handlers of /v1/tenant: the caller's own tenant."""

from __future__ import annotations

from pydantic_core import to_json

from service.api.call import Call
from service.api.fields import JsonObject, Name
from service.http import answers
from service.http.answers import Entity
from service.http.inputs import KEPT, Parsed, Patch, example
from service.http.preconditions import Precondition, expected
from service.http.rendered import read_entity
from service.repos.tenants import Tenant
from service.statements.outcomes import changed_row
from service.work import Work


class TenantPatch(Patch):
    """The fields of the caller's tenant to change. The API can't change the tenant's domain, status and plan."""

    model_config = example(name="Acme Agency", configuration={"locale": "en-GB"})

    name: Name = KEPT
    features: JsonObject = KEPT
    configuration: JsonObject = KEPT


async def find(call: Call) -> Entity[Tenant]:
    """Get the caller's tenant."""
    return await read_entity(call, Tenant, lambda work: work.tenants.current())


async def update(call: Call, body: Parsed[TenantPatch], precondition: Precondition) -> Entity[Tenant]:
    """Change the given fields of the caller's tenant."""

    async def operation(work: Work) -> Entity[Tenant]:
        version = await expected(work.tenants.current, body, precondition)
        fields = body.get().fields()
        for name in fields.keys() & {"features", "configuration"}:
            fields[name] = to_json(fields[name]).decode()
        return answers.entity(
            Tenant, changed_row(await work.tenants.update(version=version, given=list(fields), **fields))
        )

    return await call.write(operation)
