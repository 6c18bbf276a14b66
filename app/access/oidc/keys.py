"""The keys that an issuer publishes (RFC 7517): those that can be used, by their id."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

KEYS = 100
"""Keys of one issuer that are looked at."""
RSA_BITS = range(2048, 8193)
_EXPONENTS = range(3, 2**32)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the one algorithm that it is used with."""

    algorithm: str
    public: Public


def parse(document: bytes) -> Mapping[str, Key]:
    """The keys of a JWK set for RS256 and ES256; others are read over.

    Raises ValueError for what is no JWK set.
    """
    try:
        found = json.loads(document)
        listed = found["keys"]
    except (KeyError, TypeError, RecursionError, UnicodeDecodeError) as wrong:
        raise ValueError("no JWK set") from wrong
    if not isinstance(listed, list):
        raise ValueError("no JWK set")
    keys: dict[str, Key] = {}
    twice: set[str] = set()
    for entry in listed[:KEYS]:
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if not isinstance(kid, str) or (key := _key(entry)) is None:
            continue
        if kid in keys:
            twice.add(kid)
        keys[kid] = key
    return {kid: key for kid, key in keys.items() if kid not in twice}


def _key(entry: Mapping[str, Any]) -> Key | None:
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
            return None
        match entry.get("kty"), entry.get("crv"):
            case "RSA", None if entry.get("alg", "RS256") == "RS256":
                return _rsa(_number(entry["n"]), _number(entry["e"]))
            case "EC", "P-256" if entry.get("alg", "ES256") == "ES256":
                point = ec.EllipticCurvePublicNumbers(
                    _number(entry["x"]), _number(entry["y"]), ec.SECP256R1()
                )
                return Key("ES256", point.public_key())
    except (ValueError, KeyError, TypeError):
        return None
    return None


def _rsa(modulus: int, exponent: int) -> Key | None:
    if modulus.bit_length() not in RSA_BITS or exponent not in _EXPONENTS:
        return None
    return Key("RS256", rsa.RSAPublicNumbers(exponent, modulus).public_key())


def _number(encoded: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
