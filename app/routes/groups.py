"""``/api/v1/groups``: groups and their members."""

from __future__ import annotations

from fastapi import Response

from app import errors
from app.dependencies import AdminDep, EditableDep, UsersDep
from app.routes.access_schemas import CONFLICTS, GroupLine, GroupList, Name
from app.routes.recording import RecorderDep
from app.routes.router import Router

router = Router(prefix="/api/v1/groups", tags=["people"], responses=CONFLICTS)


@router.get("", summary="List groups")
async def list_groups(admin: AdminDep, access: UsersDep) -> GroupList:
    """All groups that can be listed, by name, with their members."""
    groups = await access.groups()
    return GroupList(groups=[GroupLine.of(name, members) for name, members in groups.items()])


@router.get("/{name}", summary="Show a group")
async def show_group(name: Name, admin: AdminDep, access: UsersDep) -> GroupLine:
    """One group."""
    return await _group(access, name)


@router.put("/{name}", summary="Make a group", responses={201: {"model": GroupLine}})
async def put_group(
    name: Name, response: Response, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> GroupLine:
    """Make a group without members (201); one that is there stays as it is (200)."""
    if name.lower() in await access.groups():
        return await _group(access, name)
    await access.add_group(name)
    await record("group.create", name.lower())
    response.status_code = 201
    return await _group(access, name)


@router.delete("/{name}", status_code=204, summary="Delete a group")
async def delete_group(
    name: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> None:
    """Delete a group, with memberships and grants."""
    before = await _group(access, name)
    await access.delete_group(name)
    await record("group.delete", before.name, before={"members": before.members})


@router.put("/{name}/members/{user}", summary="Put a user into a group")
async def put_member(
    name: Name, user: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> GroupLine:
    """Put a user into a group; again changes nothing."""
    before = (await access.groups()).get(name.lower(), frozenset())
    await access.set_member(name, user, True)
    if user.lower() not in before:
        await record("group.member.add", name.lower(), after={"member": user.lower()})
    return await _group(access, name)


@router.delete("/{name}/members/{user}", summary="Take a user out of a group")
async def delete_member(
    name: Name, user: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> GroupLine:
    """Take a user out of a group; again changes nothing."""
    before = (await access.groups()).get(name.lower(), frozenset())
    await access.set_member(name, user, False)
    if user.lower() in before:
        await record("group.member.remove", name.lower(), before={"member": user.lower()})
    return await _group(access, name)


async def _group(access: UsersDep, name: str) -> GroupLine:
    groups = await access.groups()
    if name.lower() not in groups:
        raise errors.GroupNotFound(name)
    return GroupLine.of(name.lower(), groups[name.lower()])
