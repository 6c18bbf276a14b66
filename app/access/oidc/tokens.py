"""An identity token from its text to its claims: one function for each step, in their order.

RFC 7519, 7515 and 8725, read strictly: what an issuer of ours never sends is refused.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from app import errors
from app.access.oidc.keys import Key

Claims = Mapping[str, Any]

TEXT = 8 * 1024
"""Characters of a token."""
LEEWAY = 30
"""Seconds that clocks may differ."""
LIFETIME = 3600
"""Seconds that a token may live, and how old it may be."""
DAY = 86_400
"""The same of a token that comes from its issuer itself."""
ALGORITHMS = ("RS256", "ES256")
_LATEST = 2**53
_REFUSED = ("crit", "b64", "jwk", "jku", "x5u", "x5c", "zip")
_SEGMENTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
_KID = re.compile(r"[ -~]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says before anything is known to be true: enough to find the key."""

    text: str
    algorithm: str
    kid: str
    issuer: str
    payload: bytes


def parse(text: str) -> Unverified:
    """Steps 1 to 3: three segments, a header without surprises, an issuer to look up."""
    if len(text) > TEXT or not _SEGMENTS.match(text):
        refuse("The token is not a JWT.")
    encoded = text.split(".")
    header, payload = _object(_decoded(encoded[0])), _decoded(encoded[1])
    algorithm, kid = check_header(header)
    issuer = _object(payload).get("iss")
    if not isinstance(issuer, str):
        refuse("The token names no issuer.")
    return Unverified(text, algorithm, kid, issuer, payload)


def check_header(header: Claims) -> tuple[str, str]:
    """The algorithm and the key's id; whatever would bring a key of its own is refused."""
    if unwanted := sorted(set(_REFUSED) & header.keys()):
        refuse(f"The token's header has '{unwanted[0]}'.")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if algorithm not in ALGORITHMS:
        refuse("The token is signed with an algorithm that is not accepted.")
    if kind != "JWT":
        refuse("The token's type is not JWT.")
    if not isinstance(kid, str) or not _KID.match(kid):
        refuse("The token does not say with which key it is signed.")
    return str(algorithm), kid


def verify(unverified: Unverified, key: Key, algorithm: str) -> Claims:
    """Step 5: the signature, by the algorithm that our table has for the issuer."""
    if unverified.algorithm != algorithm or key.algorithm != algorithm:
        refuse("The token is signed with an algorithm that is not accepted.")
    try:
        payload = jwt.api_jws.decode(unverified.text, key.public, algorithms=[algorithm])
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError):
        refuse("The token's signature is not valid.")
    return _object(payload)


def check_audience(claims: Claims, audiences: Collection[str], *, listed: bool = False) -> None:
    """Step 6: exactly one audience, and it is ours. ``listed``: a list of one is fine too."""
    meant = claims.get("aud")
    if listed and isinstance(meant, list) and len(meant) == 1:
        meant = meant[0]
    if not isinstance(meant, str) or meant not in audiences:
        refuse("The token is not made for this index.")


def check_times(claims: Claims, now: float, *, lifetime: int = LIFETIME) -> int:
    """Step 7: the token's times; until when it may be used, leeway included."""
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY:
        refuse("The token is not valid yet.")
    if issued > now + LEEWAY:
        refuse("The token is not valid yet.")
    if not 0 < expires - issued <= lifetime or now - issued > lifetime + LEEWAY:
        refuse(f"The token lives longer than {lifetime} seconds.")
    if now >= expires + LEEWAY:
        refuse("The token has expired.")
    return expires + LEEWAY


def refuse(description: str, *, reason: str = "") -> NoReturn:
    """End here; clients know the code."""
    raise errors.MintRefused("invalid-token", description, reason=reason)


def _time(claims: Claims, name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST:
        refuse(f"The token's '{name}' is not a time.")
    return value


def _decoded(segment: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        refuse("The token is not a JWT.")


def _object(text: bytes) -> Claims:
    try:
        found = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_unknown)
    except (ValueError, RecursionError):
        refuse("The token is not a JWT.")
    if not isinstance(found, dict):
        refuse("The token is not a JWT.")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two members of one name, readers differ in which they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member that comes twice")
    return found


def _unknown(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
