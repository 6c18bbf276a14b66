"""Password hashes by what they begin with: ours, and those that PyPICloud 1 kept. Pure, and slow.

Whatever costs more than a bound is nobody's hash: whoever brings a hash in must not be able to
keep the service busy with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import argon2

from app.access import shacrypt

MAX_ROUNDS = 1_000_000
MAX_BCRYPT_COST = 16
"""Of 65,536 rounds, which take seconds."""
MAX_MEMORY = 512 * 1024
"""KiB, of argon2."""
MAX_PASSES = 64
_BCRYPT_BYTES = 72
"""Bcrypt hashes no more of a password; what made the hashes cut it there as well."""
_PBKDF2 = re.compile(
    r"\$pbkdf2-(sha256|sha512)\$([1-9]\d{0,7})\$([A-Za-z0-9./]*)\$([A-Za-z0-9./]+)\Z"
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[A-Za-z0-9./]{53}\Z")
_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$v=\d+\$(m=\d+,t=\d+,p=\d+)\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """One way to hash.

    ``cost`` gives the parameters that decide what a hash costs; None for what is malformed or
    costs too much. ``verify`` and ``like`` are asked about hashes that have a cost. ``like``
    makes a hash that costs the same and fits no password.
    """

    cost: Callable[[str], str | None]
    verify: Callable[[str, bytes], bool]
    like: Callable[[str], str]


def make_of(hash: str) -> Make | None:
    """How a hash was made; None for one of no make that is known, or that costs too much."""
    for prefix, make in MAKES.items():
        if hash.startswith(prefix):
            return make if hash.isascii() and make.cost(hash) is not None else None
    return None


def is_hash(hash: str) -> bool:
    """Whether passwords can be verified against this."""
    return make_of(hash) is not None


def kind(hash: str) -> str | None:
    """Equal for hashes that cost the same; None for what is no hash."""
    make = make_of(hash)
    return None if make is None else f"{hash.split('$')[1]} {make.cost(hash)}"


def verify(hash: str, password: bytes) -> bool:
    """Whether the password belongs to the hash; False for a hash of unknown make. Takes long."""
    make = make_of(hash)
    return make is not None and make.verify(hash, password)


def like(hash: str) -> str:
    """A hash that costs what this one costs, and fits no password; ValueError for what is none."""
    make = make_of(hash)
    if make is None:
        raise ValueError("no hash")
    return make.like(hash)


def is_legacy(hash: str) -> bool:
    """Whether it is none of argon2's, so certainly not of our making."""
    return not hash.startswith("$argon2")


def _argon2_cost(hash: str) -> str | None:
    match = _ARGON2.match(hash)
    if match is None:
        return None
    memory, passes, lanes = (int(part[2:]) for part in match[1].split(","))
    if not (8 * lanes <= memory <= MAX_MEMORY and 1 <= passes <= MAX_PASSES and 1 <= lanes <= 64):
        return None
    return match[1]


def _argon2(hash: str, password: bytes) -> bool:
    try:
        return argon2.PasswordHasher().verify(hash, password)
    except (argon2.exceptions.VerificationError, ValueError):  # not the password; not a hash
        return False


def _like(hash: str) -> str:
    start, _, digest = hash.rpartition("$")
    # The last character may have bits that must be nought: it stays.
    random = "".join(secrets.choice(_BASE64) for _ in digest[1:])
    return f"{start}${random}{digest[-1]}"


def _shacrypt_cost(hash: str) -> str | None:
    setting = shacrypt.parse(hash)
    return None if setting is None or setting.rounds > MAX_ROUNDS else str(setting.rounds)


def _pbkdf2_cost(hash: str) -> str | None:
    match = _PBKDF2.match(hash)
    if match is None or int(match[2]) > MAX_ROUNDS or not _is_whole(match[1], match[4]):
        return None
    return match[2]


def _is_whole(name: str, digest: str) -> bool:
    try:
        return len(_ab64(digest)) == hashlib.new(name).digest_size
    except ValueError:
        return False


def _pbkdf2(hash: str, password: bytes) -> bool:
    match = _PBKDF2.match(hash)
    if match is None:
        return False
    name, rounds, salt, digest = match.groups()
    made = hashlib.pbkdf2_hmac(name, password, _ab64(salt), int(rounds))
    return hmac.compare_digest(made, _ab64(digest))


def _ab64(text: str) -> bytes:
    """Base64 with ``.`` for ``+``, and no padding."""
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4), validate=True)


def _bcrypt_cost(hash: str) -> str | None:
    match = _BCRYPT.match(hash)
    return match[1] if match and 4 <= int(match[1]) <= MAX_BCRYPT_COST else None


def _bcrypt(hash: str, password: bytes) -> bool:
    import bcrypt  # a library that few sites need to load

    try:
        return bcrypt.checkpw(password[:_BCRYPT_BYTES], hash.encode())
    except ValueError:
        return False


def _bcrypt_like(hash: str) -> str:
    return hash[:29] + "".join(secrets.choice(_BASE64) for _ in range(30)) + hash[-1]


_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SHACRYPT = Make(cost=_shacrypt_cost, verify=shacrypt.verify, like=_like)
_ARGON2_MAKE = Make(cost=_argon2_cost, verify=_argon2, like=_like)
_PBKDF2_MAKE = Make(cost=_pbkdf2_cost, verify=_pbkdf2, like=_like)
_BCRYPT_MAKE = Make(cost=_bcrypt_cost, verify=_bcrypt, like=_bcrypt_like)
MAKES: Mapping[str, Make] = {
    "$argon2": _ARGON2_MAKE,
    "$6$": _SHACRYPT,
    "$5$": _SHACRYPT,
    "$pbkdf2-": _PBKDF2_MAKE,
    "$2": _BCRYPT_MAKE,
}
"""How to verify a hash, by what it begins with."""
