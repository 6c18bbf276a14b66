"""Watched commands, forked from a process that has imported everything already.

A server that is killed a hundred times would spend most of its lives on imports. What runs
after the fork is the command ``pypicloud``, whole.

``python -m tests.invariants.forking SOCKET`` is that process. It takes commands, one at a
time, and answers with the pid of the fork, then with what it ended with.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.invariants.calls import install

MESSAGE = 1 << 16
IMPORTED = (
    "app.access.sql",
    "app.cache.sql",
    "app.main",
    "app.protocol",
    "app.storage.file",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
"""What a server imports as it starts, by name."""


class Fork:
    """One command; what tests ask of it is what subprocess.Popen answers."""

    def __init__(self, channel: socket.socket, pid: int, listener: int) -> None:
        self.pid = pid
        self.listener = listener
        self._channel = channel
        self._handle = os.pidfd_open(pid)
        self._code: int | None = None

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def poll(self) -> int | None:
        """What it ended with; None while it runs."""
        if self._code is None and select.select([self._channel], [], [], 0)[0]:
            self._code = int(self._channel.recv(MESSAGE))
            os.close(self._handle)
        return self._code

    def wait(self, timeout: float) -> int:
        """The same, once it ended."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.002)
        return code

    def _signal(self, number: int) -> None:
        if self._code is None:
            try:
                signal.pidfd_send_signal(self._handle, number)
            except ProcessLookupError:
                return  # it ended, and nobody asked since


class Parent:
    """The process to fork from; ``tree`` is where ``app`` is imported from."""

    def __init__(self, root: Path, tree: Path) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.invariants.forking", str(theirs.fileno())],
                cwd=tree,  # the first place where modules are looked for
                env={"PATH": os.defpath, "PYTHONPATH": f"{tree}:{root}"},
                pass_fds=[theirs.fileno()],
            )

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Fork:
        """Start a command; the one before must have ended, and its end been waited for."""
        order = {"arguments": arguments, "environment": dict(environment), "log": str(log)}
        self._channel.send(json.dumps(order).encode())
        message, (listener,), _, _ = socket.recv_fds(self._channel, MESSAGE, 1)
        return Fork(self._channel, int(message), listener)

    def close(self) -> None:
        """End it, and the command that may run."""
        self._channel.close()
        self._process.wait(timeout=60)


def main() -> None:
    """Fork whenever asked; end when nobody can ask any more."""
    import app.cli.main
    import app.main
    import app.protocol  # uvicorn imports it by name

    channel = socket.socket(fileno=int(sys.argv[1]))
    while message := channel.recv(MESSAGE):
        order = json.loads(message)
        pid = os.fork()
        if not pid:
            become(channel, **order)
            app.cli.main.main()
            raise AssertionError("a command ends by an exit")
        channel.send(str(ended(channel, pid)).encode())


def become(
    channel: socket.socket, *, arguments: Sequence[str], environment: Mapping[str, str], log: str
) -> None:
    """In the fork: be watched, and look like a command that a shell began."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    listener = install()
    # Not among the calls that wait for an answer: nobody listens yet.
    socket.send_fds(channel, [str(os.getpid()).encode()], [listener])
    for descriptor in (output, listener, channel.detach()):
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["pypicloud", *arguments]


def ended(channel: socket.socket, pid: int) -> int:
    """Wait for the fork, and end it where nobody asks any more; what it ended with."""
    poll = select.poll()
    poll.register(channel, select.POLLHUP)
    handle = os.pidfd_open(pid)
    poll.register(handle, select.POLLIN)
    if all(descriptor != handle for descriptor, _ in poll.poll()):
        os.kill(pid, signal.SIGKILL)
    os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
