"""Who may do what: the one place that decides, pure.

Explicit grants replace the defaults entirely, nothing is denied by name, and no permission
implies another. An admin may do everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from app import errors
from app.access.base import Grants
from app.access.principals import AUTHENTICATED, EVERYONE, principals
from app.models import Identity, Permission, ProjectSummary

_DEEDS: Mapping[Permission, str] = {
    Permission.READ: "read project '{project}'",
    Permission.UPLOAD: "upload to project '{project}'",
    Permission.MANAGE: "manage project '{project}'",
    Permission.FETCH: "fetch files of project '{project}' from elsewhere",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The principals with a permission on every project that has no grants of its own.

    They are brought to their one spelling; errors.InvalidName for what is no principal.
    """

    read: frozenset[str] = frozenset({AUTHENTICATED})
    upload: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", principals(self.read))
        object.__setattr__(self, "upload", principals(self.upload))

    def holders(self, permission: Permission) -> frozenset[str]:
        """Who has the permission by default; nobody manages by default."""
        if permission is Permission.READ:
            return self.read
        return self.upload if permission is Permission.UPLOAD else frozenset()


def allows(
    identity: Identity | None, permission: Permission, grants: Grants, defaults: Defaults
) -> bool:
    """Whether somebody (None: the anonymous) has a permission on the project of the grants."""
    if identity is None:
        # Whatever is managed is recorded with whoever did it.
        if permission is Permission.MANAGE:
            return False
        own = frozenset({EVERYONE})
    elif identity.admin:
        return True
    else:
        own = identity.principals | {EVERYONE}
    if not grants:
        return not own.isdisjoint(defaults.holders(permission))
    return any(permission in grants.get(principal, ()) for principal in own)


def decide(
    identity: Identity | None,
    permission: Permission,
    project: NormalizedName,
    grants: Grants,
    defaults: Defaults,
) -> None:
    """Return if allowed.

    Raises errors.Unauthenticated where the anonymous has no right, errors.Forbidden where
    somebody known has none.
    """
    if allows(identity, permission, grants, defaults):
        return
    if identity is None:
        raise errors.Unauthenticated
    actor, deed = identity.actor, _DEEDS[permission].format(project=project)
    raise errors.Forbidden(f"The {actor.kind} '{actor.id}' isn't allowed to {deed}.")


def readable(
    identity: Identity | None,
    projects: Iterable[ProjectSummary],
    grants: Mapping[NormalizedName, Grants],
    defaults: Defaults,
) -> list[ProjectSummary]:
    """Those of the projects that somebody may read, in the same order.

    ``grants`` holds the projects that have grants of their own, and may leave out the rest.
    """
    if identity is not None and identity.admin:
        return list(projects)
    by_default = allows(identity, Permission.READ, {}, defaults)
    by_grant = {
        name: allows(identity, Permission.READ, own, defaults) for name, own in grants.items()
    }
    return [project for project in projects if by_grant.get(project.name, by_default)]
