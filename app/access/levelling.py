"""That a refusal costs the same whichever of several backends refuses: its time would tell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from app import errors
from app.access.base import Access
from app.access.principals import is_name


async def defines(member: Access, name: str) -> bool:
    """Whether a backend knows a user, let in or not."""
    if not is_name(name):
        return False
    if hasattr(member, "defines"):
        return bool(await member.defines(name))
    if hasattr(member, "user"):
        return await member.user(name) is not None
    return await member.known(name) is not None


async def level(members: Sequence[Access], deciding: Access, name: str) -> None:
    """Spend what a refusal by the other members would have, after one by ``deciding``.

    A member that cannot be asked has nothing to spend.
    """
    hashed = getattr(deciding, "hashes", False)
    later = False
    for member in members:
        with suppress(errors.AccessUnavailable, errors.Busy):
            if later:
                await defines(member, name)
            if member is not deciding and not (hashed and getattr(member, "hashes", False)):
                hashed = hashed or getattr(member, "hashes", False)
                if hasattr(member, "spend"):
                    await member.spend()
        later = later or member is deciding
