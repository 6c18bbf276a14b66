"""``/api/v1/projects/{project}/grants``: who may do what with one project."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path

from app import errors
from app.access import granting, policy
from app.access.principals import principal as principal_of
from app.dependencies import AccessDep, EditableDep, IndexDep, ProjectDep, get_proof, may
from app.models import Identity, Permission
from app.routes.access_schemas import CONFLICTS, GrantLine, GrantList, GrantPut
from app.routes.recording import RecorderDep
from app.routes.router import Router

router = Router(prefix="/api/v1/projects/{project}/grants", tags=["people"], responses=CONFLICTS)
Manager = Annotated[Identity, Depends(may(Permission.MANAGE))]
Principal = Annotated[
    str, Path(max_length=80, description="everyone, authenticated, user:NAME or group:NAME")
]


@router.get("", summary="List the grants on a project")
async def list_grants(
    project: ProjectDep, manager: Manager, access: AccessDep, index: IndexDep
) -> GrantList:
    """The explicit grants; those on a free name are for the first project that takes it."""
    return GrantList.of(await access.grants(project, await index.generation(project)))


@router.get("/{principal}", summary="Show a grant")
async def show_grant(
    project: ProjectDep,
    principal: Principal,
    manager: Manager,
    access: AccessDep,
    index: IndexDep,
) -> GrantLine:
    """What one principal has by explicit grants; nothing where there is none."""
    who = principal_of(principal)
    grants = await access.grants(project, await index.generation(project))
    return GrantLine.of(who, grants.get(who, frozenset()))


@router.put("/{principal}", summary="Grant", dependencies=[Depends(get_proof)])
async def put_grant(
    project: ProjectDep,
    principal: Principal,
    grant: GrantPut,
    manager: Manager,
    access: EditableDep,
    index: IndexDep,
    record: RecorderDep,
) -> GrantLine:
    """Set what a principal has on a project. On a name that is free an admin alone may."""
    who = principal_of(principal)
    generation = await index.generation(project)
    if generation is None and not policy.administers(manager):
        raise errors.Forbidden("Only an admin grants anything on a project that is not there yet.")
    before = (await access.grants(project, generation)).get(who, frozenset())
    await granting.grant(access, index.generation, project, who, grant.permissions)
    if not granting.changes(access, before, grant.permissions):
        return GrantLine.of(who, grant.permissions)
    await record(
        "grant.set" if grant.permissions else "grant.delete",
        f"{project} {who}",
        before={"permissions": sorted(before)},
        after={"permissions": sorted(grant.permissions)},
    )
    return GrantLine.of(who, grant.permissions)


@router.delete(
    "/{principal}",
    status_code=204,
    summary="Take a grant away",
    dependencies=[Depends(get_proof)],
)
async def delete_grant(
    project: ProjectDep,
    principal: Principal,
    manager: Manager,
    access: EditableDep,
    index: IndexDep,
    record: RecorderDep,
) -> None:
    """Take away all that was granted to a principal on a project."""
    nothing = GrantPut(permissions=frozenset())
    await put_grant(project, principal, nothing, manager, access, index, record)
