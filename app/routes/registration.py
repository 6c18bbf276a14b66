"""``/api/v1/registrations``: becoming a user. Nobody becomes an admin this way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import Request
from pydantic import SecretStr

from app import errors
from app.access import signup
from app.access.base import EditableAccess
from app.access.ledger import Ledger
from app.dependencies import AdminDep, EditableDep, LedgerDep, LimitsDep, SettingsDep
from app.reports import client_address
from app.routes.access_schemas import (
    CONFLICTS,
    Invite,
    Invited,
    Name,
    Registered,
    Registration,
    Registrations,
    RegistrationsPut,
)
from app.routes.recording import RecorderDep
from app.routes.router import Router

router = Router(prefix="/api/v1/registrations", tags=["people"], responses=CONFLICTS)
REMEMBERED = timedelta(days=1)
"""How long a used token is known beyond its end, for clocks that differ."""


@router.get("", summary="Show who waits for approval")
async def show_registrations(admin: AdminDep, access: EditableDep) -> Registrations:
    """Whether anybody may register, and who did."""
    pending = [user.name for user in await access.users() if user.pending]
    return Registrations(open=await access.registration(), pending=pending)


@router.put("", summary="Open or close registration")
async def put_registrations(
    wanted: RegistrationsPut, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Registrations:
    """Let anybody register, or nobody without a sign-up token."""
    before = await access.registration()
    await access.set_registration(wanted.open)
    if before != wanted.open:
        await record(
            "config.change",
            "registration",
            before={"open": before},
            after={"open": wanted.open},
        )
    return await show_registrations(admin, access)


@router.post("", status_code=201, summary="Register")
async def register(
    wanted: Registration,
    request: Request,
    access: EditableDep,
    settings: SettingsDep,
    ledger: LedgerDep,
    limits: LimitsDep,
    record: RecorderDep,
) -> Registered:
    """Ask to become a user; with a sign-up token, become one."""
    await limits.spend(limits.registration(client_address(request)))
    if wanted.token is not None:
        try:
            name = await _sign_up(wanted, access, _key(settings.signup_key), ledger)
        except errors.Refused:
            record.refused("user.register", "user:?", after={"signup": True})
            raise
        await record("user.create", name, after={"signup": True})
        return Registered(name=name, pending=False)
    if not await access.registration():
        raise errors.Forbidden("Registration is closed; ask an admin for a sign-up token.")
    await access.add_user(wanted.name, wanted.password, pending=True)
    name = wanted.name.lower()
    await record("user.register", name)
    return Registered(name=name, pending=True)


@router.post("/tokens", status_code=201, summary="Make a sign-up token")
async def make_token(
    wanted: Invite,
    admin: AdminDep,
    access: EditableDep,
    settings: SettingsDep,
    record: RecorderDep,
) -> Invited:
    """A token with which somebody becomes a user at once. It works once."""
    seconds = wanted.expires_in
    lifetime = settings.signup_expires if seconds is None else timedelta(seconds=seconds)
    invitation = signup.invite(wanted.name, datetime.now(UTC) + lifetime)
    if await access.user(invitation.name) is not None:
        raise errors.UserExists(invitation.name)
    token = signup.sign(invitation, _key(settings.signup_key))
    await record("user.invite", invitation.name)
    return Invited(name=invitation.name, token=token, expires=invitation.expires)


@router.post("/{name}/approve", summary="Approve a registration")
async def approve(
    name: Name, admin: AdminDep, access: EditableDep, record: RecorderDep
) -> Registered:
    """Let somebody in who registered; again changes nothing."""
    before = await access.user(name)
    await access.approve(name)
    if before is None or before.pending:
        await record("user.approve", name.lower())
    return Registered(name=name.lower(), pending=False)


@router.delete("/{name}", status_code=204, summary="Reject a registration")
async def reject(name: Name, admin: AdminDep, access: EditableDep, record: RecorderDep) -> None:
    """Delete somebody who waits for approval; users are deleted elsewhere."""
    user = await access.user(name)
    if user is None or not user.pending:
        raise errors.UserNotFound(name)
    await access.delete_user(user.name)
    await record("user.reject", user.name)


async def _sign_up(wanted: Registration, access: EditableAccess, key: str, ledger: Ledger) -> str:
    now = datetime.now(UTC)
    invitation = signup.read(wanted.token or "", key, now)
    if wanted.name.lower() != invitation.name:
        raise errors.Forbidden("This sign-up token is for another name.")
    # Pending until the token is used up: a crash in between lets nobody in.
    await access.add_user(invitation.name, wanted.password, pending=True)
    until = invitation.expires + REMEMBERED
    if not await ledger.once.use(signup.ONCE, invitation.nonce, until):
        await access.delete_user(invitation.name)
        raise errors.Forbidden("This sign-up token was used already.")
    await access.approve(invitation.name)
    return invitation.name


def _key(secret: SecretStr | None) -> str:
    if secret is None:
        raise errors.Forbidden("There are no sign-up tokens here: PYPICLOUD_SIGNUP_KEY is not set.")
    return secret.get_secret_value()
