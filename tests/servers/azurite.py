"""Azurite, Microsoft's emulator of Azure Blob Storage: over HTTP, and over TLS with Entra ID."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trustme
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob import (
    AccountSasPermissions,
    ContainerClient,
    ResourceTypes,
    generate_account_sas,
)

from tests.servers.running import INSTALLED, NODE, Running, launch, shared

CONTAINER = "packages"
"""Made before anybody is given the server. Tests keep apart by prefix."""
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's, fixed and published by its makers."""
MAIN = INSTALLED / "node" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
QUICK = Path(__file__).with_suffix(".js")
"""Keeps it from answering nobody for minutes."""


@dataclass(frozen=True, slots=True)
class AzuriteServer:
    """How to reach a server."""

    port: int
    ca_file: str | None = None

    @property
    def url(self) -> str:
        """That of the account."""
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def place(self) -> dict[str, object]:
        """The options of ``connect`` that say where it is, and not who we are."""
        options: dict[str, object] = {"account": ACCOUNT, "account_url": self.url}
        return options | ({"ca_file": self.ca_file} if self.ca_file else {})

    @property
    def options(self) -> dict[str, object]:
        """The options of ``connect``, and so the settings without their prefix."""
        return {**self.place, "account_key": KEY}

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables for ``pypicloud serve``."""
        return {f"PYPICLOUD_AZURE__{k.upper()}": str(v) for k, v in self.options.items()}


def azurite() -> AzuriteServer:
    """Azurite over HTTP: it verifies keys, signatures, checksums and conditions."""
    return AzuriteServer(shared("azurite", start_azurite).ports["blob"])


def azurite_tls() -> AzuriteServer:
    """Azurite over TLS, which takes tokens of Entra ID as well, whoever made them."""
    running = shared("azurite-tls", start_azurite_tls)
    return AzuriteServer(running.ports["blob"], str(Path(running.folder) / "ca.pem"))


def start_azurite(folder: Path) -> Running:
    """An Azurite with CONTAINER in it."""
    return _start(folder, [], "http")


def start_azurite_tls(folder: Path) -> Running:
    """The same, over TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    certificate = [f"--cert={folder / 'cert.pem'}", f"--key={folder / 'key.pem'}"]
    return _start(folder, [*certificate, "--oauth=basic"], "https")


def token(*, life: int = 3600, audience: str = "https://storage.azure.com") -> str:
    """A token as Entra ID gives it out, unsigned: nobody but Azurite takes it."""
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": "https://sts.windows-ppe.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + life,
        "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
        "tid": "dd0d0df1-06c3-436c-8034-4b9a153097ce",
        "ver": "1.0",
    }
    parts = ({"typ": "JWT", "alg": "none"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join([*encoded, b"c2lnbmF0dXJl"]).decode()


def _start(folder: Path, more: list[str], scheme: str) -> Running:
    def command(ports: Mapping[str, int]) -> list[str | Path]:
        return [
            NODE,
            f"--require={QUICK}",
            MAIN,
            *("--blobHost=127.0.0.1", f"--blobPort={ports['blob']}", *more),
            *("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
        ]

    authority = str(folder / "ca.pem") if scheme == "https" else True
    return launch(
        folder,
        ["blob"],
        command,
        lambda ports: _make_container(f"{scheme}://127.0.0.1:{ports['blob']}/{ACCOUNT}", authority),
    )


def _make_container(url: str, verify: str | bool) -> None:
    """Make CONTAINER; OSError until it works."""
    with ContainerClient(
        url,
        CONTAINER,
        credential={"account_name": ACCOUNT, "account_key": KEY},
        connection_verify=verify,
        retry_total=0,
        connection_timeout=1,
        read_timeout=10,
    ) as client:
        try:
            client.create_container()
        except ResourceExistsError:
            return
        except AzureError as error:
            raise ConnectionError(str(error)) from error


class IdentityEndpoint(ThreadingHTTPServer):
    """What a platform gives a service to ask who it is: hands out tokens of Azurite's Entra ID.

    ``life`` is that of the next tokens in seconds, None for none at all; ``given`` counts them.
    """

    daemon_threads = True
    SECRET = "endpoint-secret"

    def __init__(self) -> None:
        self.life: int | None = 3600
        self.given = 0
        super().__init__(("127.0.0.1", 0), _Asked)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell azure-identity of it."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.server_address[1]}/msi/token",
            "IDENTITY_HEADER": self.SECRET,
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }


class _Asked(BaseHTTPRequestHandler):
    server: IdentityEndpoint

    def do_GET(self) -> None:  # the library's name
        """Give a token for what is asked."""
        endpoint = self.server
        if self.headers["X-IDENTITY-HEADER"] != endpoint.SECRET or endpoint.life is None:
            self._say(403, {"statusCode": 403, "message": "no token for you"})
            return
        endpoint.given += 1
        [audience] = parse_qs(urlsplit(self.path).query)["resource"]
        granted = {
            "access_token": token(life=endpoint.life, audience=audience),
            "expires_on": str(int(time.time()) + endpoint.life),
            "resource": audience,
            "token_type": "Bearer",
        }
        self._say(200, granted)

    def _say(self, status: int, answer: Mapping[str, object]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def identity_endpoint() -> Iterator[IdentityEndpoint]:
    """One under way."""
    with IdentityEndpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def sas(permission: str) -> str:
    """A SAS token of the account that gives so much."""
    return generate_account_sas(
        ACCOUNT,
        KEY,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions.from_string(permission),  # type: ignore[no-untyped-call]  # theirs
        datetime.now(UTC) + timedelta(hours=1),
    )
