"""Wheels of many gigabytes go through in constant memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests import processes
from tests.servers.upstream import Asked, Sent, Upstream
from tests.upstream.conftest import SOAK

PIECE = bytes(2**20)
PIECES = 2048 if SOAK else 300
MORE = 64
"""MiB that the service may take beyond what it took before."""


def zeros() -> Iterator[bytes]:
    """The file; nobody ever has it whole."""
    for _ in range(PIECES):
        yield PIECE


def peak(pid: int) -> int:
    """The most memory that a process had at once, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def test_a_large_wheel_goes_through_and_is_kept_in_constant_memory(
    upstream: Upstream, tmp_path: Path, name: str
) -> None:
    """300 MiB, and 2 GiB at full length: to a client while it comes, and from what is kept."""
    digest = hashlib.sha256()
    for piece in zeros():
        digest.update(piece)
    size = PIECES * len(PIECE)
    small = upstream.has(name)
    large = upstream.has(name, "2.0", hashes={"sha256": digest.hexdigest()}, size=size)

    def huge(asked: Asked, sent: Sent) -> Sent:
        if asked.path != f"/files/{name}/{large.filename}":
            return sent
        return Sent(headers={"Content-Length": str(size)}, pieces=zeros())

    upstream.fault = huge
    settings = {"FALLBACK": "cache", "UPSTREAM": upstream.simple, "DEFAULT_FETCH": "everyone"}
    with (
        processes.running(tmp_path, **settings) as service,
        httpx.Client(trust_env=False, verify=False, timeout=120) as http,  # loopback
    ):
        assert http.get(f"{service.url}/files/{name}/{small.filename}").content == small.content
        before = peak(service.process.pid)
        for _ in range(2):
            came = hashlib.sha256()
            with http.stream("GET", f"{service.url}/files/{name}/{large.filename}") as answer:
                assert answer.headers["content-length"] == str(size)
                for chunk in answer.iter_raw():
                    came.update(chunk)
            assert came.hexdigest() == digest.hexdigest()
        assert peak(service.process.pid) - before < MORE
    assert len(upstream.paths(f"/{large.filename}")) == 1
