"""Users, groups and permissions of a PyPICloud 1, out of its database or its INI file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from app import errors, names
from app.access.base import UNBOUND, Account, People
from app.access.hashes import is_hash
from app.access.principals import AUTHENTICATED, EVERYONE, is_name
from app.access.written import permissions
from app.cli.migrating.site import Site
from app.models import Permission

_EVERYBODY = (EVERYONE, AUTHENTICATED)


@dataclass(slots=True)
class Found:
    """People as they stood, and a line for each thing that cannot come along."""

    accounts: dict[str, Account] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    grants: dict[NormalizedName, dict[str, frozenset[Permission]]] = field(default_factory=dict)
    registration: bool = False
    left: list[str] = field(default_factory=list)

    def user(
        self, name: str, password: str | None, *, admin: bool = False, pending: bool = False
    ) -> None:
        """One user; of two whose names differ in case alone, none of the later."""
        if not is_name(name):
            self.left.append(f"user {name!r}: no user can be called so here")
            return
        if password and not is_hash(password):
            self.left.append(f"the password of user {name!r}: its hash is of no known format")
            password = None
        if name.lower() in self.accounts:
            self.left.append(f"user {name!r}: upper and lower case are the same here")
            return
        known = name.lower()
        self.accounts[known] = Account(
            name=known, password=password or None, admin=admin, pending=pending
        )

    def group(self, name: str, members: Iterable[str]) -> None:
        """Members of a group, besides those that are known."""
        if not is_name(name) or name.lower() in _EVERYBODY:
            self.left.append(f"group {name!r}: no group can be called so here")
            return
        own = self.groups.setdefault(name.lower(), set())
        for member in members:
            if is_name(member):
                own.add(member.lower())
            else:
                self.left.append(f"{member!r} in group {name!r}: no user can be called so here")

    def grant(self, package: str, kind: str, name: str, given: frozenset[Permission]) -> None:
        """What a user or group may do with a project, besides what is known."""
        try:
            project = names.normalize(package)
        except errors.InvalidName:
            self.left.append(f"permissions on {package!r}: no project can be called so")
            return
        if project != package:
            # Written so, they had no effect; taken over, they do what was meant.
            self.left.append(f"note: permissions on {package!r} now hold for {project!r}")
        who = name if kind == "group" and name in _EVERYBODY else f"{kind}:{name.lower()}"
        if not is_name(name):
            self.left.append(f"a permission of {kind} {name!r} on {package!r}: an odd name")
            return
        own = self.grants.setdefault(project, {})
        own[who] = own.get(who, frozenset()) | given

    def people(self) -> People:
        """All of it, as ``load`` of a backend takes it."""
        return People(
            accounts=tuple(self.accounts[name] for name in sorted(self.accounts)),
            groups={name: frozenset(members) for name, members in self.groups.items()},
            grants={(project, UNBOUND): own for project, own in self.grants.items()},
            registration=self.registration,
        )


def written(site: Site, *, users: bool = True) -> Found:
    """Those of the INI file; ``users`` False: groups and permissions alone.

    Variables do not count: PyPICloud asked for none of these.
    """
    found = Found()
    admins = {name.lower() for name in site.words("auth.admins")} if users else set()
    for name in site.people():
        if site.sources.get(name) != "file":
            continue
        kind, _, rest = name.partition(".")
        value = site.text(name)
        if kind == "user" and not users:
            continue
        if kind == "user":
            found.user(rest, value, admin=rest.lower() in admins)
        elif kind == "group":
            found.group(rest, value.split())
        else:
            _written_grant(found, name, value)
    for stranger in sorted(admins - found.accounts.keys()):
        found.left.append(f"admin {stranger!r}: there is no such user in the file")
    return found


def _written_grant(found: Found, option: str, value: str) -> None:
    parts = option.split(".", 3)
    if len(parts) != 4 or parts[2] not in ("user", "group"):
        found.left.append(f"{option}: it grants nothing to anybody")
        return
    try:
        given = permissions(value)
    except ValueError as wrong:
        found.left.append(f"{option}: {wrong}")
        return
    found.grant(parts[1], parts[2], parts[3], given)
