"""A server of its own for each benchmark: a free port, a temporary folder, stopped by its pid."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
PASSWORD = "benchmarks only, on loopback"
PYPICLOUD = str(Path(sys.executable).with_name("pypicloud"))
ROOT = Path(__file__).parents[1]
_START = 120.0
"""Seconds that a server may take until it answers."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in bytes: resident now, its highest ever, and its share of what is shared."""

    resident: int
    peak: int
    proportional: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running service."""

    pid: int
    port: int
    folder: Path
    started: float
    """Seconds from its start to its first answer."""

    def memory(self) -> Memory:
        """Of the server itself."""
        return memory(self.pid)

    def cpu(self) -> float:
        """Seconds of processor that the server and its children have used.

        Unlike what the clock says it hardly depends on what else the machine does.
        """
        return sum(map(_cpu, [self.pid, *children(self.pid)]))

    def children(self) -> list[Memory]:
        """Of each process that it started."""
        return [memory(pid) for pid in children(self.pid)]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder on the disk of TMPDIR, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="pypicloud-benchmark-") as name:
        yield Path(name)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """The variables of a service that keeps everything in ``folder``; ``settings`` override."""
    chosen = {
        "storage": f"file:{folder / 'packages'}",
        "cache": f"sqlite+aiosqlite:///{folder / 'cache.db'}",
        "access": f"sqlite+aiosqlite:///{folder / 'access.db'}",
        "spool": str(folder / "spool"),
        "admin_password": PASSWORD,
        "default_read": "everyone",
        "log_level": "warning",
        **settings,
    }
    # A child of the interpreter finds app/ and benchmarks/ here; the folder has no .env.
    base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
    base["PYTHONPATH"] = str(ROOT)
    return base | {f"PYPICLOUD_{name.upper()}": value for name, value in chosen.items() if value}


@contextmanager
def serve(
    folder: Path,
    *,
    command: Sequence[str] = (PYPICLOUD, "serve"),
    variables: Mapping[str, str] | None = None,
    ready: str = "/health/ready",
    **settings: str,
) -> Iterator[Server]:
    """Run ``command``, by default the service, until the block ends.

    ``variables`` are added to its environment, ``settings`` are those of the service.
    The block begins when ``ready`` answers 200.
    """
    port = free_port()
    made = environment(folder, port=str(port), **settings) | dict(variables or {})
    with launched(command, folder, port=port, ready=ready, variables=made) as server:
        yield server


@contextmanager
def launched(
    command: Sequence[str],
    folder: Path,
    *,
    port: int,
    ready: str,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run any server in ``folder`` until the block ends; it begins when ``ready`` answers 200.

    ``variables`` are its whole environment; None: that of this process.
    """
    with (folder / "server.log").open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, port, ready, folder)
        started = time.perf_counter() - began
        # What was started may be a tracer; then the service is its child.
        yield Server(_serving(process.pid), port, folder, started)
    finally:
        process.terminate()
        process.wait(timeout=60)


def memory(pid: int) -> Memory:
    """From /proc, so Linux alone."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    shares = [line for line in rollup if line.startswith("Pss:")]
    return Memory(
        resident=_kilobytes(lines["VmRSS"]),
        peak=_kilobytes(lines["VmHWM"]),
        proportional=_kilobytes(shares[0].partition(":")[2]),
    )


def children(pid: int) -> list[int]:
    """The processes that a process started, and that are there."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(found) for task in tasks for found in (task / "children").read_text().split()]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _serving(pid: int) -> int:
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    return children(pid)[0] if name == "strace" else pid


def _wait(process: subprocess.Popen[bytes], port: int, path: str, folder: Path) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    until = time.monotonic() + _START
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
                connected.sendall(request)
                if connected.recv(64)[8:].startswith(b" 200"):  # HTTP/1.0 is one, too
                    return
        except OSError:
            pass
        time.sleep(0.01)
    log = (folder / "server.log").read_text()[-4000:]
    raise SystemExit(f"The server is not ready at {path}:\n{log}")


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024
