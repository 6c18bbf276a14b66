"""CloudFront's signed URLs: whoever has one may GET it until it expires.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_TO_URL = bytes.maketrans(b"+=/", b"-_~")


def load(pem: bytes) -> PrivateKey:
    """The private key, RSA or ECDSA on P-256, of a PEM without passphrase; else ValueError."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("it is encrypted; take the passphrase away") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is no private key in PEM") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("CloudFront takes RSA and ECDSA P-256 keys only")


class Signer:
    """Signs URLs with one key.

    A canned policy names the URL and when it ends, and CloudFront makes it again from the
    URL; a custom one says the same and stands in the URL itself.
    """

    def __init__(
        self,
        key_id: str,
        private_key: PrivateKey,
        *,
        policy: Literal["canned", "custom"] = "canned",
        hash_algorithm: Literal["SHA1", "SHA256"] = "SHA1",
    ) -> None:
        self._private_key = private_key
        self._custom = policy == "custom"
        self._hash = hashes.SHA256() if hash_algorithm == "SHA256" else hashes.SHA1()  # noqa: S303  # CloudFront's default
        named = "&Hash-Algorithm=SHA256" if hash_algorithm == "SHA256" else ""
        self._tail = f"&Key-Pair-Id={key_id}{named}"

    def url(self, resource: str, *, ends: datetime) -> str:
        """``resource``, a URL without a query as clients send it, signed up to ``ends``."""
        epoch = int(ends.timestamp())
        # Byte for byte what CloudFront makes of a canned policy's URL: no space, this order.
        policy = (
            f'{{"Statement":[{{"Resource":"{resource}",'
            f'"Condition":{{"DateLessThan":{{"AWS:EpochTime":{epoch}}}}}}}]}}'
        ).encode()
        begin = f"Policy={_encoded(policy)}" if self._custom else f"Expires={epoch}"
        return f"{resource}?{begin}&Signature={_encoded(self._sign(policy))}{self._tail}"

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self._private_key, rsa.RSAPrivateKey):
            return self._private_key.sign(message, padding.PKCS1v15(), self._hash)
        return self._private_key.sign(message, ec.ECDSA(self._hash))


def _encoded(message: bytes) -> str:
    """Base 64 with CloudFront's own alphabet for URLs."""
    return base64.b64encode(message).translate(_TO_URL).decode()
