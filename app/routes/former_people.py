"""What scripts did with PyPICloud 1 at ``/admin/`` and ``/api/user/``, by the doors of today.

Parameters come as JSON or as a form, never in the URL. Nothing is changed by a GET.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from app import __version__, errors
from app.access import exchange
from app.dependencies import (
    AccessDep,
    AdminDep,
    AuthenticatorDep,
    BaseUrlDep,
    EditableDep,
    IndexDep,
    LedgerDep,
    LimitsDep,
    SettingsDep,
    UsersDep,
)
from app.routes import api, registration, users
from app.routes.access_schemas import (
    Invite,
    Name,
    PasswordChange,
    Registration,
    RegistrationsPut,
    UserPatch,
    UserPut,
)
from app.routes.recording import RecorderDep
from app.routes.router import Router
from app.routes.users import OwnDep

router = Router(include_in_schema=False)
PRIVATE = {"Cache-Control": "private, no-store"}
Shape = TypeVar("Shape", bound=BaseModel)
_TRUTHS = {True: True, False: False, "true": True, "false": False}


async def get_said(request: Request) -> Mapping[str, Any]:
    """The parameters of a request; errors.Invalid where they cannot be read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        if kind == "application/json":
            said = json.loads(body)
            if isinstance(said, dict):
                return said
        elif kind in ("application/x-www-form-urlencoded", ""):
            found = parse_qs(body.decode(), strict_parsing=True) if body else {}
            return {name: values[-1] for name, values in found.items()}
    except (ValueError, RecursionError):
        pass
    raise errors.Invalid("Parameters come as a JSON object, or as a form.")


def as_json(value: object) -> Response:
    """A value, for whoever asked alone."""
    return JSONResponse(value, headers=PRIVATE)


def done() -> Response:
    """200 without a body, as ever."""
    return Response(headers=PRIVATE)


SaidDep = Annotated[Mapping[str, Any], Depends(get_said)]


@router.put("/api/user/{name}")
async def register(
    name: Name,
    said: SaidDep,
    request: Request,
    access: EditableDep,
    settings: SettingsDep,
    ledger: LedgerDep,
    limits: LimitsDep,
    record: RecorderDep,
) -> Response:
    """Ask to become a user, who waits for approval. Nobody becomes an admin this way."""
    wanted = _shaped(Registration, name=name, password=said.get("password"))
    await registration.register(wanted, request, access, settings, ledger, limits, record)
    return done()


@router.post("/api/user/password")
async def change_password(
    said: SaidDep,
    request: Request,
    own: OwnDep,
    authenticator: AuthenticatorDep,
    editing: EditableDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> Response:
    """Change one's own password."""
    change = _shaped(
        PasswordChange,
        old_password=said.get("old_password"),
        new_password=said.get("new_password"),
    )
    await users.change_password(change, request, own, authenticator, editing, ledger, record)
    return done()


@router.post("/admin/rebuild")
async def rebuild(index: IndexDep, admin: AdminDep, record: RecorderDep) -> Response:
    """Bring the cache up to the storage, beside live traffic; the answer does not wait for it."""
    await api.begin_reindex(index, admin, record)
    return done()


@router.get("/admin/pending_users")
async def pending_users(admin: AdminDep, access: EditableDep) -> Response:
    """The names of those who wait for approval."""
    return as_json([user.name for user in await access.users() if user.pending])


@router.get("/admin/user")
async def list_users(admin: AdminDep, access: UsersDep) -> Response:
    """Everybody who was approved."""
    found = [user for user in await access.users() if not user.pending]
    return as_json([{"username": user.name, "admin": user.admin} for user in found])


@router.get("/admin/user/{name}")
async def show_user(name: Name, admin: AdminDep, access: UsersDep) -> Response:
    """One user, or null."""
    user = await access.user(name)
    if user is None:
        return as_json(None)
    return as_json({"username": user.name, "admin": user.admin, "groups": list(user.groups)})


@router.put("/admin/user/{name}")
async def put_user(
    name: Name,
    said: SaidDep,
    admin: AdminDep,
    access: EditableDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> Response:
    """Make a user."""
    if await access.user(name) is not None:
        raise errors.UserExists(name)
    wanted = _shaped(UserPut, password=said.get("password"))
    await users.put_user(name, wanted, Response(), admin, access, ledger, record)
    return done()


@router.delete("/admin/user/{name}")
async def delete_user(
    name: Name, admin: AdminDep, access: EditableDep, ledger: LedgerDep, record: RecorderDep
) -> Response:
    """Delete a user, or reject one who waits; one who is not there is no error."""
    if await access.user(name) is not None:
        await users.delete_user(name, admin, access, ledger, record)
    return done()


@router.post("/admin/user/{name}/approve")
async def approve(
    name: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Response:
    """Let somebody in who registered."""
    await registration.approve(name, admin, access, record)
    return done()


@router.post("/admin/user/{name}/admin")
async def set_admin(
    name: Name,
    said: SaidDep,
    admin: AdminDep,
    access: EditableDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> Response:
    """Make a user an admin, or none any more."""
    change = UserPatch(admin=_truth(said, "admin"))
    await users.patch_user(name, change, admin, access, ledger, record)
    return done()


@router.post("/admin/register")
async def allow_registration(
    said: SaidDep, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Response:
    """Open or close registration."""
    wanted = RegistrationsPut(open=_truth(said, "allow"))
    await registration.put_registrations(wanted, admin, access, record)
    return done()


@router.get("/admin/token/{name}")
async def token(
    name: Name,
    admin: AdminDep,
    access: EditableDep,
    settings: SettingsDep,
    base: BaseUrlDep,
    record: RecorderDep,
) -> Response:
    """A sign-up token, which works once."""
    if settings.signup_key is None:
        raise errors.NotFound("There are no sign-up tokens here.")
    made = await registration.make_token(
        _shaped(Invite, name=name), admin, access, settings, record
    )
    return as_json({"token": made.token, "token_url": f"{base}/login"})


@router.get("/admin/acl.json.gz")
async def acl(admin: AdminDep, access: AccessDep, record: RecorderDep) -> Response:
    """Everybody and every right, with the hashes of passwords, gzipped."""
    people = await access.people()
    await record.entry("config.export", "access")
    return Response(
        gzip.compress(exchange.dump(people, __version__)),
        media_type="application/gzip",
        headers={"Content-Disposition": 'attachment; filename="acl.json.gz"', **PRIVATE},
    )


def _shaped(shape: type[Shape], **values: object) -> Shape:
    """The parameters as the doors of today take them; errors.Invalid names what is missing."""
    try:
        return shape.model_validate(values)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        raise errors.Invalid(f"{first['loc'][0]}: {first['msg']}") from None


def _truth(said: Mapping[str, Any], name: str) -> bool:
    value = said.get(name)
    if isinstance(value, bool | str) and value in _TRUTHS:
        return _TRUTHS[value]
    raise errors.Invalid(f"{name} is true or false.")
