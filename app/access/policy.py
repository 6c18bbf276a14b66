"""Who may do what: the one place that decides, pure.

Explicit grants replace the defaults entirely, nothing is denied by name, and no permission
implies another. An admin may do everything. A token leaves of its owner's rights what its
scope covers; one that nobody owns (trusted publishing) has exactly its scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName

from app import errors
from app.access.base import UNBOUND, Grants
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
    fetch: frozenset[str] = frozenset()
    add: bool = False
    """Whether these rights hold beside explicit grants, rather than being replaced by them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", principals(self.read))
        object.__setattr__(self, "upload", principals(self.upload))
        object.__setattr__(self, "fetch", principals(self.fetch))

    def holders(self, permission: Permission) -> frozenset[str]:
        """Who has the permission by default; nobody manages by default."""
        held = {
            Permission.READ: self.read,
            Permission.UPLOAD: self.upload,
            Permission.FETCH: self.fetch,
        }
        return held.get(permission, frozenset())


def allows(
    identity: Identity | None,
    permission: Permission,
    project: NormalizedName,
    generation: str | None,
    grants: Grants,
    defaults: Defaults,
) -> bool:
    """Whether somebody (None: the anonymous) has a permission on the project of the grants.

    ``generation`` is that of the project as it stands, None for a name that is free.
    """
    if identity is None:
        # Whatever is managed is recorded with whoever did it.
        return permission is not Permission.MANAGE and _holds(
            frozenset({EVERYONE}), permission, grants, defaults
        )
    if identity.scope is not None:
        if not identity.scope.covers(permission, project, generation):
            return False
        if identity.scope.sufficient:
            return True
    return identity.admin or _holds(identity.principals | {EVERYONE}, permission, grants, defaults)


def administers(identity: Identity) -> bool:
    """Whether somebody is an admin here and now: a token is one only if it was made so."""
    return identity.admin and (identity.scope is None or identity.scope.admin)


def _holds(own: frozenset[str], permission: Permission, grants: Grants, defaults: Defaults) -> bool:
    if defaults.add and not own.isdisjoint(defaults.holders(permission)):
        return True
    if not grants:
        return not own.isdisjoint(defaults.holders(permission))
    return any(permission in grants.get(principal, ()) for principal in own)


def decide(
    identity: Identity | None,
    permission: Permission,
    project: NormalizedName,
    generation: str | None,
    grants: Grants,
    defaults: Defaults,
) -> None:
    """Return if allowed.

    Raises errors.Unauthenticated where the anonymous has no right, errors.Forbidden where
    somebody known has none.
    """
    if allows(identity, permission, project, generation, grants, defaults):
        return
    if identity is None:
        raise errors.Unauthenticated
    actor, deed = identity.actor, _DEEDS[permission].format(project=project)
    if identity.scope is not None and not identity.scope.covers(permission, project, generation):
        raise errors.Forbidden(f"This token isn't made to {deed}.")
    raise errors.Forbidden(f"The {actor.kind} '{actor.id}' isn't allowed to {deed}.")


def fetches(
    identity: Identity | None,
    project: NormalizedName,
    generation: str | None,
    grants: Grants,
    defaults: Defaults,
) -> bool:
    """Whether somebody who may read may also have files of upstreams kept here.

    A token that reads does so for its owner: what its scope says of reading is enough.
    """
    if identity is not None and identity.scope is not None and not identity.scope.sufficient:
        identity = replace(identity, scope=None)
    return allows(identity, Permission.FETCH, project, generation, grants, defaults)


def fetching_follows_reading(defaults: Defaults) -> bool:
    """Whether everybody who reads projects without grants may fetch theirs as well."""
    if EVERYONE in defaults.fetch or defaults.read <= defaults.fetch:
        return True
    return AUTHENTICATED in defaults.fetch and EVERYONE not in defaults.read


def readable(
    identity: Identity | None,
    projects: Iterable[ProjectSummary],
    grants: Mapping[NormalizedName, Grants],
    defaults: Defaults,
) -> list[ProjectSummary]:
    """Those of the projects that somebody may read, in the same order.

    ``grants`` holds the projects that have grants of their own, and may leave out the rest.
    """
    if identity is not None and identity.admin and identity.scope is None:
        return list(projects)
    if identity is None or identity.scope is None:
        own = (identity.principals if identity else frozenset()) | {EVERYONE}
        by_default = _holds(own, Permission.READ, {}, defaults)
        by_grant = {name: _holds(own, Permission.READ, grants[name], defaults) for name in grants}
        return [project for project in projects if by_grant.get(project.name, by_default)]
    return [
        project
        for project in projects
        if allows(
            identity,
            Permission.READ,
            project.name,
            project.generation,
            grants.get(project.name, {}),
            defaults,
        )
    ]


def reads_by_default(identity: Identity | None, defaults: Defaults) -> bool:
    """Whether somebody may read every project that has no grants of its own."""
    own = (identity.principals if identity else frozenset()) | {EVERYONE}
    scope = identity.scope if identity else None
    within = scope is None or ("*" in scope.projects and Permission.READ in scope.permissions)
    return within and _holds(own, Permission.READ, {}, defaults)


def of(
    every: Mapping[tuple[NormalizedName, str], Grants], name: NormalizedName, generation: str
) -> Grants:
    """The grants on one project among those on all, unbound ones included."""
    bound, unbound = every.get((name, generation), {}), every.get((name, UNBOUND), {})
    return {**unbound, **bound} if unbound else bound
