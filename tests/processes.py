"""``pypicloud serve`` in a process of its own, with nobody but its admin: quickly begun."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.canary import require_clean
from tests.e2e.server import PYPICLOUD, free_port

PASSWORD = "the admin's pass phrase"
PATIENCE = 120.0
"""Seconds until it must be ready, or gone."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service; its files are in ``folder``."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that it printed so far."""
        return (self.folder / f"{self.port}.log").read_text()


def environment(folder: Path, port: int, **variables: str) -> dict[str, str]:
    """Settings for files in ``folder`` that everyone may read."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "HOME": str(folder),
        "PYPICLOUD_ADMIN_PASSWORD": PASSWORD,
        "PYPICLOUD_DEFAULT_READ": "everyone",
        "PYPICLOUD_PORT": str(port),
        "PYPICLOUD_INSPECTORS": "1",
        **{f"PYPICLOUD_{name}": value for name, value in variables.items()},
    }


@contextmanager
def running(folder: Path, **variables: str) -> Iterator[Running]:
    """A service that is ready; ended with SIGTERM, where it has not ended before."""
    port = free_port()
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [PYPICLOUD, "serve"],
            cwd=folder,
            env=environment(folder, port, **variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    found = Running(port, folder, process)
    try:
        until_ready(found)
        yield found
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=PATIENCE)
    assert "Traceback" not in found.log, found.log
    require_clean(found.log, PASSWORD)


def until_ready(found: Running, headers: Mapping[str, str] | None = None) -> None:
    """Return once it says so."""
    deadline = time.monotonic() + PATIENCE
    with httpx.Client(trust_env=False, verify=False, timeout=30) as client:  # loopback
        while time.monotonic() < deadline:
            assert found.process.poll() is None, found.log
            try:
                if client.get(f"{found.url}/health/ready", headers=headers).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise AssertionError(f"not ready in {PATIENCE} s:\n{found.log}")
