"""The first admin: made from a setting, or with a random password where nobody exists."""

from __future__ import annotations

from contextlib import suppress

from app import errors
from app.access.base import EditableAccess
from app.access.passwords import generate

ADMIN = "admin"


async def ensure_admin(access: EditableAccess, password: str | None) -> str | None:
    """See that somebody can administer; returns a password to print once, or None.

    With a password, ``admin`` is created, or enabled, made admin and given it, as needed.
    Without one, ``admin`` is created with a random password where there is no user at all.
    Raises errors.InvalidPassword. Several processes may do this at the same time.
    """
    if password is not None:
        await _ensure_with(access, password)
        return None
    if await access.users():
        return None
    generated = generate()
    try:
        await access.add_user(ADMIN, generated, admin=True)
    except errors.UserExists:
        return None
    return generated


async def _ensure_with(access: EditableAccess, password: str) -> None:
    if await access.user(ADMIN) is None:
        with suppress(errors.UserExists):  # another process was first
            await access.add_user(ADMIN, password, admin=True)
    admin = await access.user(ADMIN)
    if admin is None:
        raise errors.UserNotFound(ADMIN)
    if admin.disabled or await access.identify(ADMIN, password) is None:
        await access.set_password(ADMIN, password)
    if not admin.admin:
        await access.set_admin(ADMIN, True)
    if admin.disabled:
        await access.set_disabled(ADMIN, False)
