"""V4 signed URLs, made by hand: the SDK's signer parses the private key for each."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from app.storage.gcs.client import Client
from app.storage.gcs.failures import Failed

ALGORITHM = "GOOG4-RSA-SHA256"
IAM = "https://iamcredentials.googleapis.com"
MAX_LIFE = timedelta(days=7)
"""What Google accepts."""
MANAGED_LIFE = timedelta(hours=12)
"""For how long a key in Google's hands is certain to be good after it signed."""


class Signer(Protocol):
    """Signs with the private key of the service account ``email``: RSA, PKCS #1 v1.5, SHA-256."""

    @property
    def email(self) -> str: ...

    @property
    def longest(self) -> timedelta:
        """What a signature lives at the most."""
        ...

    async def sign(self, content: bytes) -> bytes:
        """The signature; errors.StorageUnavailable where there is none to be had."""
        ...


class KeySigner:
    """A private key in our hands: a fifth of a millisecond, no request."""

    longest = MAX_LIFE

    def __init__(self, email: str, key: RSAPrivateKey) -> None:
        self.email = email
        self._key = key

    async def sign(self, content: bytes) -> bytes:
        return self._key.sign(content, PKCS1v15(), SHA256())


class IAMSigner:
    """A private key in Google's hands: one request for each signature."""

    longest = MANAGED_LIFE

    def __init__(self, email: str, client: Client, endpoint: str) -> None:
        self.email = email
        self._client = client
        account = quote(email, safe="@")
        self._url = f"{endpoint}/v1/projects/-/serviceAccounts/{account}:signBlob"

    async def sign(self, content: bytes) -> bytes:
        body = json.dumps({"payload": base64.b64encode(content).decode()}).encode()
        answer = await self._client.tried(
            lambda: self._client.send(
                "POST",
                self._url,
                body,
                headers={"Content-Type": "application/json"},
                who="IAM, asked to sign a URL,",
            )
        )
        try:
            return base64.b64decode(answer.resource["signedBlob"], validate=True)
        except (LookupError, ValueError):
            raise Failed("IAM answered with no signature") from None


async def signed_url(
    signer: Signer, origin: str, bucket: str, name: str, begins: datetime, lives: timedelta
) -> str:
    """A URL that GETs an object without a header, from ``begins`` on for as long as it lives.

    ``origin`` is ``scheme://host``; only the host is signed.
    """
    path = f"/{bucket}/{quote(name, safe='/~')}"
    day = begins.strftime("%Y%m%d")
    scope = f"{day}/auto/storage/goog4_request"
    moment = begins.strftime("%Y%m%dT%H%M%SZ")
    query = (
        f"X-Goog-Algorithm={ALGORITHM}"
        f"&X-Goog-Credential={quote(f'{signer.email}/{scope}', safe='')}"
        f"&X-Goog-Date={moment}"
        f"&X-Goog-Expires={int(min(lives, MAX_LIFE).total_seconds())}"
        "&X-Goog-SignedHeaders=host"
    )
    host = f"host:{urlsplit(origin).netloc}\n"
    request = "\n".join(["GET", path, query, host, "host", "UNSIGNED-PAYLOAD"])
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = await signer.sign("\n".join([ALGORITHM, moment, scope, digest]).encode())
    return f"{origin}{path}?{query}&X-Goog-Signature={signature.hex()}"
