"""Object stores for real clients, each behind a recorder that the presigned URLs name."""

from __future__ import annotations

import base64
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ulid import ULID

from tests.e2e.sandbox import listening
from tests.e2e.server import Account
from tests.servers import azurite, gcs, s3
from tests.servers.cloudfront import distribution

SIGNATURES = ("X-Amz-Signature", "X-Goog-Signature", "sig", "Signature")
"""The parameters of a URL that are worth its bytes."""
CREDENTIALS = ("Signature=", "SharedKey ", "Bearer ", "Basic ", "ya29.", "AWS4-HMAC-SHA256")
"""What headers begin with, or tokens, that say who we are to a store, or clients to us."""
_HEAD = re.compile(rb"^(GET|HEAD) (/\S*) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n", re.MULTILINE)


class Fetch(NamedTuple):
    """A request with a presigned URL; the names of its headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def filename(self) -> str:
        """The last segment of the URL's path."""
        return urlsplit(self.target).path.rpartition("/")[2]


@dataclass(slots=True)
class Recorder:
    """All that was said to a store through ``url``, by connection."""

    url: str
    said: list[bytearray] = field(default_factory=list)

    def fetches(self) -> list[Fetch]:
        """The requests with presigned URLs."""
        every = [_fetch(*head) for said in self.said for head in _HEAD.findall(said)]
        return [fetch for fetch in every if is_signed(fetch.target)]

    def heard_of(self, account: Account) -> bool:
        """Whether an account's password came this way, in whatever a header may hold."""
        pair = f"{account.username}:{account.password}".encode()
        secrets = (account.password.encode(), base64.b64encode(pair))
        return any(secret in said for said in self.said for secret in secrets)


@dataclass(frozen=True, slots=True)
class Store:
    """What ``pypicloud serve`` is told of a store, and the recorder before it."""

    variables: Mapping[str, str]
    recorder: Recorder

    def secrets(self) -> list[str]:
        """What nobody but the service and the store may see, line by line."""
        found = []
        for name, value in self.variables.items():
            if name.endswith(("SECRET_ACCESS_KEY", "ACCOUNT_KEY")):
                found.append(value)
            elif name.endswith("PRIVATE_KEY"):
                found += value.splitlines()[1:-1]
            elif name.endswith("SERVICE_ACCOUNT_FILE"):
                key = json.loads(Path(value).read_text())["private_key"]
                found += key.splitlines()[1:-1]
        return found

    def elsewhere(self) -> Mapping[str, str]:
        """The same store, with an empty prefix."""
        storage = self.variables["PYPICLOUD_STORAGE"].rpartition("/")[0]
        return {**self.variables, "PYPICLOUD_STORAGE": f"{storage}/{ULID()}"}


@contextmanager
def seaweed() -> Iterator[Store]:
    """S3 by SeaweedFS."""
    server = s3.seaweed()
    with recorded(server.endpoint_url) as recorder:
        variables = {"STORAGE": f"s3://{s3.BUCKET}/{ULID()}", "S3__PUBLIC_URL": recorder.url}
        yield Store(server.environment | _prefixed(variables), recorder)


@contextmanager
def cloudfront() -> Iterator[Store]:
    """A CloudFront distribution before SeaweedFS."""
    server = s3.seaweed()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with (
        distribution(server, {"K2JCJMDEHXQW5F": key.public_key()}) as url,
        recorded(url) as recorder,
    ):
        variables = {
            "STORAGE": f"cloudfront://{s3.BUCKET}/{ULID()}",
            "CLOUDFRONT__URL": recorder.url,
            "CLOUDFRONT__KEY_ID": "K2JCJMDEHXQW5F",
            "CLOUDFRONT__PRIVATE_KEY": pem,
        }
        yield Store(server.environment | _prefixed(variables), recorder)


@contextmanager
def google() -> Iterator[Store]:
    """Google Cloud Storage by fake-gcs-server, whose front verifies signatures."""
    server = gcs.gcs()
    with recorded(server.endpoint_url) as recorder:
        variables = {"STORAGE": f"gs://{gcs.BUCKET}/{ULID()}", "GCS__PUBLIC_URL": recorder.url}
        yield Store(server.environment | _prefixed(variables), recorder)


@contextmanager
def azure() -> Iterator[Store]:
    """Azure Blob Storage by Azurite."""
    server = azurite.azurite()
    with recorded(server.url) as recorder:
        variables = {
            "STORAGE": f"azure://{azurite.CONTAINER}/{ULID()}",
            "AZURE__PUBLIC_URL": f"{recorder.url}/{azurite.ACCOUNT}",
        }
        yield Store(server.environment | _prefixed(variables), recorder)


STORES = {"s3": seaweed, "cloudfront": cloudfront, "gcs": google, "azure": azure}


@contextmanager
def recorded(url: str) -> Iterator[Recorder]:
    """Relay to a server until the block ends, byte for byte: its ``Host`` is the recorder's."""
    target = urlsplit(url)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            said = bytearray()
            recorder.said.append(said)
            with socket.create_connection((target.hostname, target.port)) as store:
                back = threading.Thread(target=_copy, args=(store, self.request, bytearray()))
                back.start()
                _copy(self.request, store, said)
                back.join()

    with listening(Relay) as here:
        recorder = Recorder(here)
        yield recorder


def is_signed(url: str) -> bool:
    """Whether a URL has a signature."""
    return any(name in parse_qs(urlsplit(url).query) for name in SIGNATURES)


def _prefixed(variables: Mapping[str, str]) -> dict[str, str]:
    return {f"PYPICLOUD_{name}": value for name, value in variables.items()}


def _fetch(method: bytes, target: bytes, lines: bytes) -> Fetch:
    pairs = (line.partition(":") for line in lines.decode("latin-1").splitlines())
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Fetch(method.decode(), target.decode(), headers)


def _copy(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            kept += chunk
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
