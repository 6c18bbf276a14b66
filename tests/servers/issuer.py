"""An identity provider on loopback: discovery, keys, tokens of any make, and every fault."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Answered = tuple[int, Mapping[str, str], bytes]
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"


@cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key; making one is slow, so it is made once for each name."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str = "one") -> ec.EllipticCurvePrivateKey:
    """A key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def encoded(value: bytes | str) -> str:
    """Base64 for URLs, without padding."""
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: Private, kid: str) -> dict[str, Any]:
    """A public key as JWKS have it."""
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = jwt.algorithms.RSAAlgorithm
        return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
    made = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


def signature(key: Private, text: bytes) -> bytes:
    """Of RS256 or ES256, as the key has it."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


@dataclass
class Issuer:
    """A running issuer. ``faults`` answers instead of it, by path; ``asked`` lists what came."""

    url: str
    keys: dict[str, Private] = field(default_factory=lambda: {"k1": rsa_key()})
    faults: dict[str, Callable[[], Answered]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    listed: list[dict[str, Any]] = field(default_factory=list)
    """Keys beside ours in the set, as they are."""
    login: dict[str, Any] = field(default_factory=dict)
    """The claims of whoever logs in here (authorisation code flow)."""
    build: dict[str, Any] = field(default_factory=dict)
    """The claims of the build that runs here, which asks at ``/id-token`` (as on GitHub)."""
    secret: str = "client secret"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    exchanges: list[dict[str, str]] = field(default_factory=list)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Claims that hold now; None takes one away."""
        now = int(time.time())
        made = {
            "iss": self.url,
            "sub": "somebody",
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
            **changed,
        }
        return {name: value for name, value in made.items() if value is not None}

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        kid: str | None = "k1",
        key: Any = None,
        algorithm: str = "RS256",
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """A token over these claims."""
        head = {"alg": algorithm, "typ": "JWT", **({} if kid is None else {"kid": kid})}
        chosen = key if key is not None else self.keys[kid or "k1"]
        parts = (json.dumps({**head, **(headers or {})}), json.dumps(claims))
        text = ".".join(map(encoded, parts))
        return f"{text}.{encoded(signature(chosen, text.encode()))}"

    def answer(self, path: str) -> Answered:
        """What is served at a path."""
        if path in self.faults:
            return self.faults[path]()
        if path == DISCOVERY:
            return _json({**self._described, **self.document})
        if path == JWKS:
            own = [jwk(key, kid) for kid, key in self.keys.items()]
            return _json({"keys": [*self.listed, *own]})
        return 404, {}, b"{}"

    @property
    def _described(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{JWKS}",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }

    def id_token(self, query: Mapping[str, str], authorization: str) -> Answered:
        """What GitHub answers a build that asks for its identity token."""
        if authorization.lower() != "bearer of the build":
            return _json({}, 401)
        return _json({"value": self.sign(self.claims(**self.build, aud=query["audience"]))})

    def authorize(self, query: Mapping[str, str]) -> Answered:
        """Logs whoever comes in as ``login``, and sends them back with a code."""
        code = uuid.uuid4().hex
        self.codes[code] = dict(query)
        back = urlencode({"code": code, "state": query["state"]})
        return 302, {"Location": f"{query['redirect_uri']}?{back}"}, b""

    def exchange(self, form: Mapping[str, str], authorization: str) -> Answered:
        """A code for a token, once, with the client's secret and PKCE's verifier."""
        self.exchanges.append(dict(form))
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None:
            return _json({"error": "invalid_grant"}, 400)
        sent = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        if [unquote(part) for part in sent] != [asked["client_id"], self.secret]:
            return _json({"error": "invalid_client"}, 401)
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (challenge, "S256") != (asked["code_challenge"], asked["code_challenge_method"]):
            return _json({"error": "invalid_grant"}, 400)
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return _json({"error": "invalid_grant"}, 400)
        mine = {"aud": asked["client_id"], "nonce": asked["nonce"], **self.login}
        token = self.sign(self.claims(**mine))
        return _json({"access_token": "unused", "token_type": "Bearer", "id_token": token})


def _json(value: Any, status: int = 200) -> Answered:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


@contextmanager
def listening(answering: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on loopback; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running() -> Iterator[Issuer]:
    """An issuer with one RSA key, ``k1``."""
    issuer = Issuer("")

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            issuer.asked.append(parts.path)
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._send(issuer.authorize(query))
            elif parts.path == "/id-token":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._send(issuer.id_token(query, self.headers.get("Authorization", "")))
            else:
                self._send(issuer.answer(parts.path))

        def do_POST(self) -> None:
            issuer.asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            if self.path in issuer.faults:
                self._send(issuer.faults[self.path]())
            else:
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._send(issuer.exchange(form, self.headers.get("Authorization", "")))

        def _send(self, answered: Answered) -> None:
            status, headers, body = answered
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # who asked has heard enough
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with listening(Door) as url:
        issuer.url = url
        yield issuer


@contextmanager
def tripwire() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody should ask: its URL, and what was asked all the same."""
    touched: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            touched.append(self.client_address[0])
            super().handle_one_request()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with listening(Door) as url:
        yield url, touched
