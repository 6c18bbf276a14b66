"""``/api/v1/users`` and ``/api/v1/account``: who there is, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from app import errors
from app.access import tokens, upkeep
from app.access.authentication import Proof
from app.access.base import EditableAccess, User
from app.dependencies import (
    AdminDep,
    AuthenticatorDep,
    EditableDep,
    IdentityDep,
    LedgerDep,
    UsersDep,
)
from app.models import Identity
from app.reports import client_address, reporting
from app.routes.access_schemas import (
    CONFLICTS,
    AccountDetail,
    Name,
    PasswordChange,
    UserLine,
    UserList,
    UserPatch,
    UserPut,
    of_user,
)
from app.routes.recording import Recorder, RecorderDep
from app.routes.router import Router

router = Router(prefix="/api/v1", tags=["people"], responses=CONFLICTS)


async def get_own(identity: IdentityDep) -> Identity:
    """Whoever asks, if they said who they are."""
    if identity is None:
        raise errors.Unauthenticated
    return identity


OwnDep = Annotated[Identity, Depends(get_own)]


@router.get("/users", summary="List users")
async def list_users(admin: AdminDep, access: UsersDep) -> UserList:
    """All users that can be listed, by name."""
    return UserList(users=[UserLine.of(user) for user in await access.users()])


@router.get("/users/{name}", summary="Show a user")
async def show_user(name: Name, admin: AdminDep, access: UsersDep) -> UserLine:
    """One user."""
    return UserLine.of(await _user(access, name))


@router.put("/users/{name}", summary="Make or set a user", responses={201: {"model": UserLine}})
async def put_user(
    name: Name,
    wanted: UserPut,
    response: Response,
    admin: AdminDep,
    access: EditableDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> UserLine:
    """Make a user (201), or give one a new password and say whether it is an admin (200)."""
    before = await access.user(name)
    if before is not None:
        change = UserPatch(password=wanted.password, admin=wanted.admin)
        return await patch_user(name, change, admin, access, ledger, record)
    if wanted.password is None:
        raise errors.InvalidPassword("A new user needs a password.")
    await access.add_user(name, wanted.password, admin=wanted.admin)
    made = await _user(access, name)
    await record("user.create", made.name, after=of_user(made))
    response.status_code = 201
    return UserLine.of(made)


@router.patch("/users/{name}", summary="Change a user")
async def patch_user(
    name: Name,
    change: UserPatch,
    admin: AdminDep,
    access: EditableDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> UserLine:
    """Reset a password, make an admin or not, shut out or let in again; sessions end with each."""
    before = await _user(access, name)
    if before.name == admin.actor.id and (change.admin is False or change.disabled):
        raise errors.Forbidden("Nobody takes their own rights away; another admin can.")
    if change.password is not None:
        await access.set_password(before.name, change.password)
        await ledger.sessions.end_all(before.name)
        await record("user.password.change", before.name)
    if change.admin is not None and change.admin != before.admin:
        await access.set_admin(before.name, change.admin)
        await ledger.sessions.end_all(before.name)
        await _recorded(access, record, f"user.admin.{_verb(change.admin)}", before)
    if change.disabled is not None and change.disabled != before.disabled:
        await access.set_disabled(before.name, change.disabled)
        await ledger.sessions.end_all(before.name)
        await _recorded(
            access, record, "user.disable" if change.disabled else "user.enable", before
        )
    return UserLine.of(await _user(access, name))


@router.delete("/users/{name}", status_code=204, summary="Delete a user")
async def delete_user(
    name: Name, admin: AdminDep, access: EditableDep, ledger: LedgerDep, record: RecorderDep
) -> None:
    """Delete a user, with memberships, grants, tokens and sessions.

    A later user of the name is somebody else.
    """
    before = await _user(access, name)
    if before.name == admin.actor.id:
        raise errors.Forbidden("Nobody takes their own rights away; another admin can.")
    await access.delete_user(before.name)
    ended = await upkeep.end(ledger, before.name)
    await record("user.delete", before.name, before=of_user(before), after={"ended": ended})


@router.get("/account", summary="Show who asks")
async def show_account(own: OwnDep) -> AccountDetail:
    """Whoever the credentials prove."""
    return AccountDetail.of(own)


@router.put("/account/password", status_code=204, summary="Change one's own password")
async def change_password(
    change: PasswordChange,
    request: Request,
    own: OwnDep,
    authenticator: AuthenticatorDep,
    editing: EditableDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> None:
    """Needs the password until now, whatever else proves who asks; not for tokens."""
    if own.actor.kind != "user" or own.scope is not None:
        raise errors.Forbidden("Only a user changes a password.")
    proof = Proof(own.actor.id, change.old_password, client_address(request))
    try:
        if tokens.looks_like(proof.secret.strip()):
            raise errors.Unauthenticated
        await authenticator.identify(proof, reporting(request))
    except errors.Unauthenticated:
        await record("user.password.change", own.actor.id, outcome="fail")
        raise errors.Forbidden("The old password is another one.") from None
    await editing.set_password(own.actor.id, change.new_password)
    await ledger.sessions.end_all(own.actor.id)
    await record("user.password.change", own.actor.id)


async def _user(access: UsersDep, name: str) -> User:
    user: User | None = await access.user(name)
    if user is None:
        raise errors.UserNotFound(name)
    return user


async def _recorded(access: EditableAccess, record: Recorder, action: str, before: User) -> None:
    after = await access.user(before.name)
    await record(action, before.name, before=of_user(before), after=of_user(after))


def _verb(granted: bool) -> str:
    return "grant" if granted else "revoke"
