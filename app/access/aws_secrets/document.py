"""The JSON document in the secret, in the shape of PyPICloud 1, and the book that it is. Pure.

What that shape has no place for is under names that PyPICloud 1 passes over: users who are
disabled, the versions of passwords, and the generation that grants are bound to. A version stands
beside the mark of the hash that it is of: a hash that somebody else wrote has another one. What
we cannot make sense of (a name outside our grammar, two that differ in case, keys of somebody
else's) counts for nothing and is written back as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from packaging.utils import NormalizedName

from app import errors, names
from app.access.base import UNBOUND, Grants
from app.access.book import Book, Person, Where
from app.access.principals import AUTHENTICATED, EVERYONE, is_name
from app.models import Permission

UNUSABLE = "!"
"""In place of the hash of somebody who has no password here."""
OURS = ("disabled_users", "versions")
"""What is left out where there is none."""
SPELLINGS = {
    Permission.READ: "read",
    Permission.UPLOAD: "write",
    Permission.MANAGE: "manage",
    Permission.FETCH: "fetch",
}
_MEANT = {spelled: permission for permission, spelled in SPELLINGS.items()}

Document = dict[str, Any]


class NotInShape(ValueError):
    """The text tells which part is not what it should be."""


def parsed(text: str) -> Document:
    """The document in a text; NotInShape for what is none."""
    try:
        document = json.loads(text)
    except ValueError:
        raise NotInShape("it is no JSON") from None
    if not isinstance(document, dict):
        raise NotInShape("it is no JSON object")
    return document


def book_of(document: Document) -> Book:
    """What the document says; NotInShape where that cannot be."""
    users = _spelled(_hashes(document, "users"), _name)
    pending = _spelled(_hashes(document, "pending_users"), _name)
    disabled = _spelled(_hashes(document, "disabled_users"), _name)
    admins = {name.lower() for name in _texts(document.get("admins", []), "admins")}
    versions = _spelled(_versions(document), _name)
    hashes = {**users, **pending, **disabled}
    return Book(
        users={
            name: Person(
                name=name,
                password=None if hashed == UNUSABLE else hashed,
                version=_version(hashed, versions.get(name)),
                admin=name in admins,
                disabled=name in disabled,
                pending=name in pending,
            )
            for name, hashed in hashes.items()
        },
        groups={
            group: frozenset(one.lower() for one in _texts(members, "groups") if is_name(one))
            for group, members in _spelled(_mapping(document, "groups"), _group).items()
        },
        grants=_grants(_mapping(document, "packages")),
        registration=document.get("allow_registration", False) is True,
    )


def document_of(book: Book, before: Document) -> Document:
    """The document that says what the book says, and else what it said before."""
    people = book.users.values()
    packages: dict[str, dict[str, Grants]] = {}
    for (project, generation), granted in sorted(book.grants.items()):
        packages.setdefault(project, {})[generation] = granted
    ours: Document = {
        "users": {one.name: _kept(one) for one in people if not one.shut},
        "pending_users": {one.name: _kept(one) for one in people if one.pending},
        "disabled_users": {one.name: _kept(one) for one in people if one.disabled},
        "versions": {
            one.name: {"version": one.version, "of": _mark(hashed)}
            for one in people
            if one.version != _number(hashed := _kept(one))
        },
        "groups": {group: sorted(members) for group, members in book.groups.items()},
        "packages": {project: _package(bound) for project, bound in packages.items()},
    }
    kinds: Mapping[str, Callable[[str], str | None]] = {
        **dict.fromkeys(("users", "pending_users", "disabled_users", "versions"), _name),
        "groups": _group,
        "packages": _project,
    }
    for part, own in ours.items():
        held = _mapping(before, part)
        known = _known(held, kinds[part])
        foreign = [key for key in held if kinds[part](key) not in known]
        ours[part] = {**{key: held[key] for key in foreign}, **own}
    for part in OURS:
        if not ours[part]:
            del ours[part]
    theirs = {key: value for key, value in before.items() if key not in OURS}
    return {
        **theirs,
        **ours,
        "admins": sorted(one.name for one in people if one.admin),
        "allow_registration": book.registration,
    }


def _grants(packages: Mapping[str, Any]) -> dict[Where, Grants]:
    found: dict[Where, dict[str, frozenset[Permission]]] = {}
    for key, package in packages.items():
        project = _project(key)
        if project is None:
            continue
        if not isinstance(package, dict):
            raise NotInShape("packages")
        generation = package.get("generation", UNBOUND)
        every = {**_mapping(package, "generations"), generation: package}
        for bound, one in every.items():
            if not isinstance(bound, str) or not isinstance(one, dict):
                raise NotInShape("packages")
            own = found.setdefault((NormalizedName(project), bound), {})
            for principal, permissions in _principals(one):
                own[principal] = own.get(principal, frozenset()) | permissions
    return {where: granted for where, granted in found.items() if granted}


def _principals(package: Mapping[str, Any]) -> Iterable[tuple[str, frozenset[Permission]]]:
    for part, kind in (("users", "user"), ("groups", "group")):
        for name, permissions in _mapping(package, part).items():
            known = frozenset(
                _MEANT[one] for one in _texts(permissions, "packages") if one in _MEANT
            )
            if kind == "group" and name in (EVERYONE, AUTHENTICATED):
                principal = name
            else:
                principal = f"{kind}:{name.lower()}"
            if known and is_name(name):
                yield principal, known


def _package(by_generation: Mapping[str, Grants]) -> Document:
    """The newest generation stands where PyPICloud 1 looks; what else there is, beside it."""
    shown = max(by_generation)
    others = {
        generation: _granted(granted)
        for generation, granted in by_generation.items()
        if generation != shown
    }
    package = _granted(by_generation[shown])
    if shown != UNBOUND:
        package["generation"] = shown
    return {**package, **({"generations": others} if others else {})}


def _granted(granted: Grants) -> Document:
    package: Document = {"groups": {}, "users": {}}
    for principal, permissions in sorted(granted.items()):
        kind, _, name = principal.partition(":")
        spelled = [SPELLINGS[one] for one in sorted(permissions)]
        package["users" if kind == "user" else "groups"][name or kind] = spelled
    return package


def _spelled(held: Mapping[str, Any], kind: Callable[[str], str | None]) -> dict[str, Any]:
    return {name: held[key] for name, key in _known(held, kind).items()}


def _known(held: Mapping[str, Any], kind: Callable[[str], str | None]) -> dict[str, str]:
    """The keys that are names, by the one spelling of each.

    Of two users or groups that are one, neither; projects have as many spellings as they like.
    """
    found: dict[str, str] = {}
    twice = set()
    for key in held:
        name = kind(key)
        if name is None:
            continue
        if name in found:
            twice.add(name)
        found[name] = key
    if kind is _project:
        return found
    return {name: key for name, key in found.items() if name not in twice}


def _name(key: str) -> str | None:
    return key.lower() if is_name(key) else None


def _group(key: str) -> str | None:
    name = _name(key)
    return None if name in (EVERYONE, AUTHENTICATED) else name


def _project(key: str) -> str | None:
    try:
        return names.normalize(key)
    except errors.InvalidName:
        return None


def _versions(document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Those that name the hash they are of; plain numbers, as they were once, do not."""
    found = _mapping(document, "versions")
    marked = {name: noted for name, noted in found.items() if not isinstance(noted, int)}
    for noted in marked.values():
        if not isinstance(noted, dict) or not isinstance(noted.get("version"), int):
            raise NotInShape("versions")
    return marked


def _version(hashed: str, noted: Mapping[str, Any] | None) -> int:
    """The version of a password: what we noted of this very hash, else one of its own."""
    if noted is None or noted.get("of") != _mark(hashed):
        return _number(hashed)
    version: int = noted["version"]
    return version


def _number(hashed: str) -> int:
    """Exact in JSON, whoever reads it."""
    return int(_mark(hashed)[:12], 16)


def _mark(hashed: str) -> str:
    return hashlib.sha256(hashed.encode()).hexdigest()[:16]


def _kept(person: Person) -> str:
    return UNUSABLE if person.password is None else person.password


def _hashes(document: Mapping[str, Any], part: str) -> Mapping[str, str]:
    found = _mapping(document, part)
    if not all(isinstance(one, str) for one in found.values()):
        raise NotInShape(part)
    return found


def _mapping(document: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = document.get(part, {})
    if not isinstance(found, dict):
        raise NotInShape(part)
    return found


def _texts(found: Any, part: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise NotInShape(part)
    return found
