"""The identities behind the strict Google Cloud Storage: who gets tokens, who may sign.

One RSA key is that of every service account. It plays OAuth2's token endpoint (JWT bearer,
RFC 7523, and refresh tokens), the token exchange of workload identity federation (RFC 8693),
the metadata server of a virtual machine, and IAM's ``generateAccessToken`` and ``signBlob``.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import jwt
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

OWNER = "owner@project.iam.gserviceaccount.com"
"""May do everything; the key file is its."""
BRIEF = "brief@project.iam.gserviceaccount.com"
"""The same, with tokens that last a moment."""
TAKEN = "taken@project.iam.gserviceaccount.com"
"""The same; for the test that takes tokens back."""
VIEWER = "viewer@project.iam.gserviceaccount.com"
"""May list and read."""
MUTE = "mute@project.iam.gserviceaccount.com"
"""May not have anything signed."""
MACHINE = "machine@project.iam.gserviceaccount.com"
"""Whom the metadata server speaks for."""
PERSON = "person@example.com"
"""Behind a refresh token."""
POOL = "principal://pool/subject"
"""What the token exchange gives: no service account."""

ACCOUNTS = (OWNER, BRIEF, TAKEN, VIEWER, MUTE, MACHINE)
_WITH_KEYS = {"owner": OWNER, "brief": BRIEF, "taken": TAKEN, "viewer": VIEWER}
REFRESH_TOKEN = "refresh"
SUBJECT_TOKEN = "subject"
SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
BRIEF_LIFE = 2
ALGORITHM = "GOOG4-RSA-SHA256"


@dataclass(slots=True)
class Identities:
    """The tokens that were given, and the key."""

    url: str
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """The credentials files of everybody."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        for name, email in _WITH_KEYS.items():
            account = {"type": "service_account", "client_email": email, "private_key": pem}
            _write(folder / f"{name}.json", account | {"token_uri": f"{self.url}/token"})
        person = {"type": "authorized_user", "client_id": "id", "client_secret": "secret"}
        person |= {"refresh_token": REFRESH_TOKEN, "token_uri": f"{self.url}/token"}
        _write(folder / "person.json", person)
        (folder / "subject").write_text(SUBJECT_TOKEN)
        pool: dict[str, object] = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/sts",
            "credential_source": {"file": str(folder / "subject")},
        }
        _write(folder / "pool.json", pool)
        pool["credential_source"] = {
            "file": str(folder / "subject.json"),
            "format": {"type": "json", "subject_token_field_name": "token"},
        }
        _write(folder / "subject.json", {"token": SUBJECT_TOKEN})
        for name, email in (("federated", OWNER), ("mute", MUTE)):
            as_account = f"{self.url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
            _write(
                folder / f"{name}.json", pool | {"service_account_impersonation_url": as_account}
            )

    def routes(self) -> list[web.RouteDef]:
        """What is served besides objects."""
        machine = "/computeMetadata/v1/instance/service-accounts/default"
        account = "/v1/projects/-/serviceAccounts/{email}"
        return [
            web.post("/token", self.token),
            web.post("/sts", self.exchange),
            web.get(f"{machine}/token", self.machine_token),
            web.get(f"{machine}/email", self.machine_email),
            web.post(f"{account}:generateAccessToken", self.impersonate),
            web.post(f"{account}:signBlob", self.sign),
            web.post("/_revoke", self.revoke),
        ]

    def whose(self, request: web.Request) -> str | None:
        """The account of the bearer token, where it is valid."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        email, expires = self.tokens.get(token, (None, 0.0))
        return email if expires > time.time() else None

    def verify_url(self, request: web.Request) -> str | None:
        """Why a V4 signed URL is refused, or None: then it is good."""
        query = request.rel_url.query
        try:
            begins = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            life = timedelta(seconds=int(query["X-Goog-Expires"]))
            email, _, scope = query["X-Goog-Credential"].partition("/")
            signature = bytes.fromhex(query["X-Goog-Signature"])
            names = query["X-Goog-SignedHeaders"].split(";")
        except (KeyError, ValueError):
            return "AuthenticationRequired"
        if not begins <= datetime.now(UTC) < begins + life or life > timedelta(days=7):
            return "ExpiredToken"
        day = begins.strftime("%Y%m%d")
        if email not in ACCOUNTS or scope != f"{day}/auto/storage/goog4_request":
            return "InvalidCredential"
        canonical = "\n".join(
            [
                request.method,
                quote(request.rel_url.path, safe="/~"),
                "&".join(
                    f"{quote(name, safe='~')}={quote(value, safe='~')}"
                    for name, value in sorted(query.items())
                    if name != "X-Goog-Signature"
                ),
                "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names),
                ";".join(names),
                "UNSIGNED-PAYLOAD",
            ]
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(canonical.encode())
        signed = "\n".join([ALGORITHM, query["X-Goog-Date"], scope, digest.finalize().hex()])
        try:
            self.key.public_key().verify(
                signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return "SignatureDoesNotMatch"
        return None

    async def token(self, request: web.Request) -> web.Response:
        """OAuth2's token endpoint."""
        form = await request.post()
        if form.get("grant_type") == "refresh_token":
            known = form.get("refresh_token") == REFRESH_TOKEN
            return self._granted(PERSON) if known else _refused("invalid_grant")
        try:
            claims = jwt.decode(
                str(form["assertion"]),
                self.key.public_key(),
                algorithms=["RS256"],
                audience=f"http://{request.host}/token",
            )
        except (KeyError, jwt.InvalidTokenError):
            return _refused("invalid_grant")
        if claims["iss"] not in ACCOUNTS or SCOPE not in claims["scope"].split():
            return _refused("invalid_grant")
        return self._granted(claims["iss"])

    async def exchange(self, request: web.Request) -> web.Response:
        """The token exchange of workload identity federation."""
        form = await request.post()
        known = form.get("subject_token") == SUBJECT_TOKEN
        return self._granted(POOL) if known else _refused("invalid_grant")

    async def machine_token(self, request: web.Request) -> web.Response:
        """The metadata server's tokens."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return _refused("forbidden", status=403)
        return self._granted(MACHINE)

    async def machine_email(self, request: web.Request) -> web.Response:
        """Whose they are."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return _refused("forbidden", status=403)
        return web.Response(text=MACHINE)

    async def impersonate(self, request: web.Request) -> web.Response:
        """A token of another account."""
        email = request.match_info["email"]
        if self.whose(request) is None or email not in ACCOUNTS:
            return _refused("PERMISSION_DENIED", status=403)
        granted = json.loads(self._granted(email).text or "")
        return web.json_response({"accessToken": granted["access_token"]})

    async def sign(self, request: web.Request) -> web.Response:
        """A signature of another account."""
        email = request.match_info["email"]
        payload = base64.b64decode((await request.json())["payload"], validate=True)
        if self.whose(request) is None or email not in ACCOUNTS or email == MUTE:
            message = "Permission 'iam.serviceAccounts.signBlob' denied on resource"
            error = {"code": 403, "message": message, "status": "PERMISSION_DENIED"}
            return web.json_response({"error": error}, status=403)
        signature = self.key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        return web.json_response({"signedBlob": base64.b64encode(signature).decode()})

    async def revoke(self, request: web.Request) -> web.Response:
        """For tests: no token of this account is good any more."""
        email = (await request.json())["email"]
        self.tokens = {token: of for token, of in self.tokens.items() if of[0] != email}
        return web.Response()

    def _granted(self, email: str) -> web.Response:
        life = BRIEF_LIFE if email == BRIEF else 3600
        token = f"ya29.{secrets.token_urlsafe(32)}"
        self.tokens[token] = (email, time.time() + life)
        return web.json_response({"access_token": token, "expires_in": life})


def _refused(error: str, *, status: int = 400) -> web.Response:
    return web.json_response({"error": error}, status=status)


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content))
