"""What scripts did with the groups and permissions of PyPICloud 1, at ``/admin/``."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Response

from app.access.base import Grants
from app.dependencies import (
    AccessDep,
    AdminDep,
    EditableDep,
    IndexDep,
    ProjectDep,
    UsersDep,
)
from app.models import Permission
from app.routes import grants, groups
from app.routes.access_schemas import GrantPut, Name
from app.routes.former_people import as_json, done
from app.routes.recording import RecorderDep
from app.routes.router import Router

router = Router(include_in_schema=False)
_WORDS = {Permission.READ: "read", Permission.UPLOAD: "write"}
_RIGHTS = {word: permission for permission, word in _WORDS.items()}


@router.put("/admin/user/{name}/group/{group}")
async def join(
    name: Name, group: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Response:
    """Put a user into a group."""
    await groups.put_member(group, name, admin, access, record)
    return done()


@router.delete("/admin/user/{name}/group/{group}")
async def leave(
    name: Name, group: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Response:
    """Take a user out of a group."""
    await groups.delete_member(group, name, admin, access, record)
    return done()


@router.get("/admin/user/{name}/permissions")
async def user_permissions(name: Name, admin: AdminDep, access: AccessDep) -> Response:
    """What a user was granted, project by project."""
    return as_json(await _packages(access, f"user:{name.lower()}"))


@router.get("/admin/group")
async def list_groups(admin: AdminDep, access: UsersDep) -> Response:
    """The names of all groups."""
    return as_json(sorted(await access.groups()))


@router.get("/admin/group/{group}")
async def show_group(group: Name, admin: AdminDep, access: AccessDep, lists: UsersDep) -> Response:
    """The members of a group, and what it was granted."""
    members = (await lists.groups()).get(group.lower(), frozenset())
    packages = await _packages(access, _group(group))
    return as_json({"members": sorted(members), "packages": packages})


@router.put("/admin/group/{group}")
async def put_group(
    group: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Response:
    """Make a group."""
    await groups.put_group(group, Response(), admin, access, record)
    return done()


@router.delete("/admin/group/{group}")
async def delete_group(
    group: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Response:
    """Delete a group."""
    await groups.delete_group(group, admin, access, record)
    return done()


@router.get("/admin/package/{project}")
async def package(
    project: ProjectDep, admin: AdminDep, access: AccessDep, index: IndexDep
) -> Response:
    """What was granted on a project, to users and to groups."""
    granted = await access.grants(project, await index.generation(project))
    found: dict[str, list[dict[str, Any]]] = {"user": [], "group": []}
    for who in sorted(granted):
        kind, _, name = who.partition(":")
        word = "username" if kind == "user" else "group"
        line = {word: name or kind, "permissions": _words(granted, who)}
        found["user" if kind == "user" else "group"].append(line)
    return as_json(found)


@router.put("/admin/package/{project}/{kind}/{name}/{right}")
async def grant(
    project: ProjectDep,
    kind: Literal["user", "group"],
    name: Name,
    right: Literal["read", "write"],
    admin: AdminDep,
    access: EditableDep,
    index: IndexDep,
    record: RecorderDep,
) -> Response:
    """Give a user or a group one right, beside those that it has."""
    await _set(project, kind, name, right, admin, access, index, record, given=True)
    return done()


@router.delete("/admin/package/{project}/{kind}/{name}/{right}")
async def revoke(
    project: ProjectDep,
    kind: Literal["user", "group"],
    name: Name,
    right: Literal["read", "write"],
    admin: AdminDep,
    access: EditableDep,
    index: IndexDep,
    record: RecorderDep,
) -> Response:
    """Take one right away."""
    await _set(project, kind, name, right, admin, access, index, record, given=False)
    return done()


async def _set(
    project: ProjectDep,
    kind: str,
    name: str,
    right: str,
    admin: AdminDep,
    access: EditableDep,
    index: IndexDep,
    record: RecorderDep,
    *,
    given: bool,
) -> None:
    who = _group(name) if kind == "group" else f"user:{name.lower()}"
    had = (await access.grants(project, await index.generation(project))).get(who, frozenset())
    change = frozenset({_RIGHTS[right]})
    wanted = GrantPut(permissions=had | change if given else had - change)
    await grants.put_grant(project, who, wanted, admin, access, index, record)


async def _packages(access: AccessDep, who: str) -> list[dict[str, Any]]:
    every = await access.all_grants()
    found = {project: _words(own, who) for (project, _), own in every.items() if who in own}
    return [{"package": name, "permissions": found[name]} for name in sorted(found)]


def _words(granted: Grants, who: str) -> list[str]:
    """The rights that PyPICloud had a word for."""
    return [_WORDS[one] for one in sorted(granted[who]) if one in _WORDS]


def _group(name: str) -> str:
    return name if name in ("everyone", "authenticated") else f"group:{name.lower()}"
