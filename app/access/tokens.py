"""API tokens, pure: how they look, what they may be, and when they hold.

``pypi-ppc<kind>_<12 id><32 secret><6 crc>``, base 62: one double-click selects it, a scanner
knows it without asking anybody, and a slip of the pen is told from a token that is gone. Kinds
are ``u`` (of a user), ``p`` (for named projects), ``r`` (reads only), ``o`` (minted for a trusted
publisher) and ``s`` (for signing up; never kept here).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from app import errors, names
from app.access.ledger import Token
from app.models import Permission, Scope

PREFIX = "pypi-ppc"
USER, PROJECT, READER, MINTED, SIGNUP = "u", "p", "r", "o", "s"
KINDS = USER + PROJECT + READER + MINTED + SIGNUP
PATTERN = re.compile(rf"\b{PREFIX}[{KINDS}]_[0-9A-Za-z]{{50}}\b")
"""Tokens in a text, for scanners and reports of leaks."""
MINTED_LIFETIME = timedelta(seconds=900)
NAME_LENGTH = 100
MOST_PROJECTS = 200
MOST_NETWORKS = 50

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID, _SECRET, _CRC = 12, 32, 6
_TEXT = re.compile(
    rf"{PREFIX}([{KINDS}])_([0-9A-Za-z]{{{_ID}}})([0-9A-Za-z]{{{_SECRET}}})[0-9A-Za-z]{{{_CRC}}}\Z"
)
_GLOB = re.compile(r"[a-z0-9*-]+\Z")
_Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token's text, read: it is well formed, no more is known."""

    kind: str
    id: str
    digest: str


def looks_like(text: str) -> bool:
    """Whether a password is meant to be a token of ours."""
    return text.startswith(PREFIX)


def parse(text: str) -> Parsed:
    """Read a token; errors.Unauthenticated where it was mistyped or cut."""
    match = _TEXT.match(text)
    if match is None or not hmac.compare_digest(text[-_CRC:], _crc(text[:-_CRC])):
        raise errors.Unauthenticated("This token is mistyped or not complete.")
    return Parsed(kind=match[1], id=match[2], digest=digest(match[3]))


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_of(parsed: Parsed, token: Token) -> bool:
    """Whether the text is that of the token."""
    return hmac.compare_digest(parsed.digest, token.digest)


def make(
    kind: str,
    *,
    scope: Scope,
    now: datetime,
    lifetime: timedelta,
    name: str = "",
    owner: str | None = None,
    owner_stamp: str = "",
    publisher: str | None = None,
    claims: Mapping[str, Any] | None = None,
    networks: Sequence[str] = (),
    parent: str | None = None,
) -> tuple[Token, str]:
    """A new token: what is kept of it, and its text, which nobody can make again.

    The kind ``o`` is for a ``publisher``, the others for an ``owner``.
    """
    id, secret = _random(_ID), _random(_SECRET)
    text = f"{PREFIX}{kind}_{id}{secret}"
    token = Token(
        id=id,
        name=name,
        owner=owner,
        scope=scope,
        created=now,
        expires=now + lifetime,
        digest=digest(secret),
        owner_stamp=owner_stamp,
        publisher=publisher,
        claims=dict(claims or {}),
        networks=tuple(networks),
        parent=parent,
    )
    return token, text + _crc(text)


def kind_of(scope: Scope) -> str:
    """The kind that a user's token of this scope is."""
    if scope.permissions <= {Permission.READ} and not scope.admin:
        return READER
    named = scope.projects and not any("*" in project for project in scope.projects)
    return PROJECT if named and not scope.admin else USER


def project_or_pattern(text: str) -> str:
    """A normalised name, or a pattern with ``*``. Raises errors.InvalidName."""
    if "*" not in text:
        return names.normalize(text)
    if len(text) > 200 or not _GLOB.match(text):
        raise errors.InvalidName(
            "A pattern of projects has lower-case letters, digits, '-' and '*', as in 'corp-*'."
        )
    return text


def network(text: str) -> str:
    """A network or an address in CIDR notation. Raises errors.Invalid."""
    try:
        return str(ip_network(text.strip()))
    except ValueError:
        raise errors.Invalid("A network is written like 10.0.0.0/8 or 2001:db8::/32.") from None


def within(address: str, networks: Sequence[str]) -> bool:
    """Whether a client's address is in one of the networks; none of them: anywhere."""
    if not networks:
        return True
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in ip_network(network) for network in networks)


def refuse_wider(child: Scope, networks: Sequence[str], parent: Token) -> None:
    """Raises errors.Forbidden where a token would get what the one that makes it has not."""
    own = parent.scope
    fits = (
        child.permissions <= own.permissions
        and (own.creates or not child.creates)
        and (own.admin or not child.admin)
        and all(_covers(own, name, generation) for name, generation in child.projects.items())
        and _narrower(networks, parent.networks)
    )
    if not fits:
        raise errors.Forbidden("A token makes no token that may do more than it may itself.")


def unused_since(token: Token) -> datetime:
    """When it was last used, or made."""
    return token.last_used or token.created


def ends(token: Token, unused_after: timedelta) -> datetime:
    """When it stops to hold: it expires, or was not used for so long."""
    return min(token.expires, unused_since(token) + unused_after)


def _covers(scope: Scope, project: str, generation: str | None) -> bool:
    if "*" not in project and project in scope.projects:
        meant = scope.projects[project]
        return meant is None or meant == generation
    # A star of the child is matched by a star of the parent alone, so all it stands for is too.
    return any("*" in own and fnmatchcase(project, own) for own in scope.projects)


def _narrower(networks: Sequence[str], own: Sequence[str]) -> bool:
    if not own:
        return True
    return bool(networks) and all(
        any(_inside(ip_network(network), ip_network(outer)) for outer in own)
        for network in networks
    )


def _inside(inner: _Network, outer: _Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _crc(text: str) -> str:
    number, digits = binascii.crc32(text.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits.rjust(_CRC, "0")
