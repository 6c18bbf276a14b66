"""Granting on a project that may be claimed at the same moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from packaging.utils import NormalizedName

from app.access.base import UNBOUND, EditableAccess
from app.models import Permission

Generation = Callable[[NormalizedName], Awaitable[str | None]]
"""The generation of a project as it stands, None for a name that is free."""


async def grant(
    access: EditableAccess,
    generation: Generation,
    project: NormalizedName,
    principal: str,
    permissions: frozenset[Permission],
) -> str | None:
    """Set what a principal has on a project as it stands; its generation, None: a free name.

    The empty set takes all away. Raises what EditableAccess.grant does.
    """
    found = await generation(project)
    await access.grant(project, found or UNBOUND, principal, permissions)
    if found is not None:
        if not permissions:
            # One from before the project came would show through again.
            await access.grant(project, UNBOUND, principal, permissions)
        return found
    came = await generation(project)
    if came is not None and not permissions:
        await access.grant(project, came, principal, permissions)
    await bind_those_that_came(access, generation, [project])
    return came


async def bind_those_that_came(
    access: EditableAccess, generation: Generation, projects: Iterable[NormalizedName]
) -> None:
    """Bind grants on names that were claimed before the grants were there to be bound.

    Else they would be the next generation's as well.
    """
    for project in projects:
        came = await generation(project)
        if came is not None:
            await access.bind(project, came)


def changes(
    access: EditableAccess, before: frozenset[Permission], after: frozenset[Permission]
) -> bool:
    """Whether setting a grant changes what is kept.

    Of several backends nobody can tell whose a grant was: there whatever is set counts.
    """
    return before != after or (bool(after) and hasattr(access, "definer"))
