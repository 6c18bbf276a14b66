"""``/admin``: people, the index and its health, and the audit trail, for admins with a session.

Each act is one that ``/api/v1`` has, and asks for a login within the last half hour.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response

from app import errors
from app.access import policy, trail
from app.access.base import EditableAccess, editable, origin
from app.access.ledger import Ledger
from app.access.sessions import Visit
from app.dependencies import (
    AccessDep,
    ChronicleDep,
    IndexDep,
    LedgerDep,
    ProbesDep,
)
from app.index import Index
from app.models import Identity
from app.reports import IDENTITY
from app.routes import api, audit, browsing, groups, health, registration, tokens, users
from app.routes.access_schemas import RegistrationsPut, UserLine, UserPatch, UserPut
from app.routes.browsing import Elsewhere, Form, VisitDep, one
from app.routes.recording import Recorder
from app.routes.web.viewing import pages

router = pages()

PATH = "/admin"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
AFTER = {"revoke-token": f"{PATH}/tokens"}
"""The pages that acts stand on, where it is not the first one."""
EACH = 100
"""Entries of the trail on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Administering:
    """An admin, and what administering takes."""

    identity: Identity
    visit: Visit
    index: Index
    access: Any
    ledger: Ledger
    record: Recorder

    @property
    def editing(self) -> EditableAccess:
        """Users to be edited; errors.NotEditable."""
        return editable(self.access)


async def get_administering(
    request: Request,
    visit: VisitDep,
    index: IndexDep,
    access: AccessDep,
    ledger: LedgerDep,
    chronicle: ChronicleDep,
) -> Administering:
    """Raises errors.Forbidden for whoever is no admin."""
    request.scope[IDENTITY] = visit.identity
    if not policy.administers(visit.identity):
        raise errors.Forbidden("Only an admin may do this.")
    return Administering(
        identity=visit.identity,
        visit=visit,
        index=index,
        access=access,
        ledger=ledger,
        record=Recorder(index, chronicle, request, visit.identity),
    )


AdministeringDep = Annotated[Administering, Depends(get_administering)]


async def show(
    request: Request,
    admin: AdministeringDep,
    probes: ProbesDep,
    done: Annotated[str, Query(max_length=30)] = "",
) -> Response:
    """Everything at a glance."""
    return await _page(request, admin, probes, done=done if done in ACTS else "")


async def act(request: Request, admin: AdministeringDep, probes: ProbesDep) -> Response:
    """Do something about it."""
    sent = await browsing.own_form(request, admin.visit)
    if not admin.visit.proved(browsing.now()):
        raise Elsewhere(f"/login?next={PATH}")
    wanted = one(sent, "act")
    if wanted not in ACTS:
        raise errors.Invalid("There is no such act.")
    try:
        await ACTS[wanted](admin, sent)
    except (
        errors.Invalid,
        errors.NotFound,
        errors.Forbidden,
        errors.UserExists,
        errors.GroupExists,
        errors.NotEditable,
    ) as wrong:
        return await _page(request, admin, probes, message=str(wrong), status=400)
    where = AFTER.get(wanted, PATH)
    return browsing.go(request, f"{where}?done={wanted}")


async def show_trail(
    request: Request,
    admin: AdministeringDep,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    action: Annotated[str, Query(max_length=64)] = "",
    actor: Annotated[str, Query(max_length=200)] = "",
    target: Annotated[str, Query(max_length=500)] = "",
    export: Annotated[Literal["", "jsonl"], Query()] = "",
) -> Response:
    """The audit trail, oldest first, page by page; or all that fits, to be kept."""
    asked = {"action": action.strip(), "actor": actor.strip(), "target": target.strip()}
    equal = {name: value for name, value in asked.items() if value}
    if export:
        return audit.exported(admin.ledger.trail.entries(after=after, limit=None, **equal))
    entries = admin.ledger.trail.entries(after=after, limit=EACH + 1, **equal)
    found = [entry async for entry in entries]
    following = found[EACH - 1].number if len(found) > EACH else None
    return browsing.page(
        request,
        "audit.html",
        told={"entries": [trail.shown(one) for one in found[:EACH]], "next": following},
        entries=found[:EACH],
        following=following,
        asked=asked,
    )


async def _page(
    request: Request,
    admin: Administering,
    probes: ProbesDep,
    *,
    done: str = "",
    message: str = "",
    status: int = 200,
) -> Response:
    listed = hasattr(admin.access, "users")
    every = await admin.access.users() if listed else ()
    edits = hasattr(admin.access, "add_user")
    told: dict[str, Any] = {
        "users": [user for user in every if not user.pending],
        "pending": [user for user in every if user.pending],
        "groups": sorted((await admin.access.groups()).items()) if listed else (),
        "registration": await admin.editing.registration() if edits else False,
        "readiness": await health.ready(request, Response(), admin.index, probes),
        "reindex": await admin.index.reindexing(),
    }
    people = {name: [UserLine.of(user) for user in told[name]] for name in ("users", "pending")}
    return browsing.page(
        request,
        "admin.html",
        status=status,
        told=None if message else {**told, **people, "groups": dict(told["groups"])},
        **told,
        edits=edits,
        origin=origin(admin.access),
        done=done,
        message=message,
    )


async def _add_user(admin: Administering, sent: Form) -> None:
    name, password = one(sent, "name").strip(), one(sent, "password")
    if await admin.editing.user(name) is not None:
        raise errors.UserExists(name)
    wanted = UserPut(password=password[:1024], admin=one(sent, "admin") == "yes")
    await users.put_user(
        name, wanted, Response(), admin.identity, admin.editing, admin.ledger, admin.record
    )


def _patch(change: UserPatch) -> Callable[[Administering, Form], Awaitable[None]]:
    async def patch(admin: Administering, sent: Form) -> None:
        await users.patch_user(
            one(sent, "name"), change, admin.identity, admin.editing, admin.ledger, admin.record
        )

    return patch


async def _set_password(admin: Administering, sent: Form) -> None:
    wanted = UserPatch(password=one(sent, "password")[:1024])
    await users.patch_user(
        one(sent, "name"), wanted, admin.identity, admin.editing, admin.ledger, admin.record
    )


async def _delete_user(admin: Administering, sent: Form) -> None:
    name = one(sent, "name")
    _confirm(sent, name)
    await users.delete_user(name, admin.identity, admin.editing, admin.ledger, admin.record)


async def _add_group(admin: Administering, sent: Form) -> None:
    name = one(sent, "name").strip()
    await groups.put_group(name, Response(), admin.identity, admin.editing, admin.record)


async def _delete_group(admin: Administering, sent: Form) -> None:
    name = one(sent, "name")
    _confirm(sent, name)
    await groups.delete_group(name, admin.identity, admin.editing, admin.record)


async def _add_member(admin: Administering, sent: Form) -> None:
    group, user = one(sent, "name"), one(sent, "user").strip()
    await groups.put_member(group, user, admin.identity, admin.editing, admin.record)


async def _remove_member(admin: Administering, sent: Form) -> None:
    group, user = one(sent, "name"), one(sent, "user")
    await groups.delete_member(group, user, admin.identity, admin.editing, admin.record)


async def _approve(admin: Administering, sent: Form) -> None:
    await registration.approve(one(sent, "name"), admin.identity, admin.editing, admin.record)


async def _reject(admin: Administering, sent: Form) -> None:
    await registration.reject(one(sent, "name"), admin.identity, admin.editing, admin.record)


async def _set_registration(admin: Administering, sent: Form) -> None:
    wanted = RegistrationsPut(open=one(sent, "open") == "yes")
    await registration.put_registrations(wanted, admin.identity, admin.editing, admin.record)


async def _revoke_token(admin: Administering, sent: Form) -> None:
    if not _TOKEN.fullmatch(one(sent, "name")):
        raise errors.TokenNotFound(one(sent, "name"))
    await tokens.revoke_token(one(sent, "name"), admin.identity, admin.ledger, admin.record)


async def _reindex(admin: Administering, sent: Form) -> None:
    await api.begin_reindex(admin.index, admin.identity, admin.record)


def _confirm(sent: Form, name: str) -> None:
    if one(sent, "confirm").strip() != name:
        raise errors.Invalid(f"Type '{name}' to confirm; nothing was done.")


ACTS: Mapping[str, Callable[[Administering, Form], Awaitable[None]]] = {
    "add-user": _add_user,
    "promote": _patch(UserPatch(admin=True)),
    "demote": _patch(UserPatch(admin=False)),
    "disable": _patch(UserPatch(disabled=True)),
    "enable": _patch(UserPatch(disabled=False)),
    "password": _set_password,
    "delete-user": _delete_user,
    "add-group": _add_group,
    "delete-group": _delete_group,
    "add-member": _add_member,
    "remove-member": _remove_member,
    "approve": _approve,
    "reject": _reject,
    "registration": _set_registration,
    "reindex": _reindex,
    "revoke-token": _revoke_token,
}

router.add_api_route(PATH, show, methods=["GET", "HEAD"])
router.add_api_route(PATH, act, methods=["POST"])
router.add_api_route(f"{PATH}/audit", show_trail, methods=["GET", "HEAD"])
