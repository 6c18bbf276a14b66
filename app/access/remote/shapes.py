"""The shapes that answers must have. Each raises errors.AccessUnavailable for any other."""

from __future__ import annotations

from typing import Any

from app import errors
from app.access.principals import AUTHENTICATED, EVERYONE, is_name
from app.models import Permission

_MEANT = {
    "read": Permission.READ,
    "write": Permission.UPLOAD,
    "upload": Permission.UPLOAD,
    "manage": Permission.MANAGE,
    "fetch": Permission.FETCH,
}


def give(
    found: dict[str, frozenset[Permission]],
    kind: str,
    name: str,
    permissions: frozenset[Permission],
) -> None:
    """Add permissions of a user or a group, where it has a name that can be one here."""
    if not is_name(name) or not permissions:
        return
    lower = name.lower()
    everyone = kind == "group" and lower in (EVERYONE, AUTHENTICATED)
    principal = lower if everyone else f"{kind}:{lower}"
    found[principal] = found.get(principal, frozenset()) | permissions


def permissions_in(told: Any, what: str) -> frozenset[Permission]:
    """The permissions in a list; what is none is left out."""
    return frozenset(_MEANT[one] for one in texts_in(told, what) if one in _MEANT)


def names_in(told: Any, what: str) -> list[str]:
    """The names in a list, in our spelling; what cannot be one here is left out."""
    return [one.lower() for one in texts_in(told, what) if is_name(one)]


def texts_in(told: Any, what: str) -> list[str]:
    """A list of texts."""
    if not all(isinstance(one, str) for one in list_in(told, what)):
        raise shapeless(what)
    return list(told)


def list_in(told: Any, what: str) -> list[Any]:
    """A list."""
    if not isinstance(told, list):
        raise shapeless(what)
    return told


def truth_in(told: Any, what: str) -> bool:
    """True or False, nothing like them."""
    if not isinstance(told, bool):
        raise shapeless(what)
    return told


def shapeless(what: str) -> errors.AccessUnavailable:
    """For an answer that is not what it should be."""
    return errors.AccessUnavailable(f"The access server's answer to {what} is not in shape.")
