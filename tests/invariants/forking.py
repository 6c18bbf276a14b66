"""Commands, watched or not, forked from a process that has imported everything already.

A server that is killed a hundred times would spend most of its lives on imports. What runs
after the fork is the command ``pypicloud``, whole.

``python -m tests.invariants.forking SOCKET`` is that process. Each command that it is given
comes with a channel of its own, on which an attendant, forked too, answers with the pid of
the command, then with what it ended with.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.invariants.calls import install

MESSAGE = 1 << 16
IMPORTED = (
    "app.access.sql",
    "app.cache.sql",
    "app.cli.main",
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

    def __init__(self, channel: socket.socket, pid: int, listener: int | None = None) -> None:
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
            self._channel.close()
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
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.invariants.forking", str(theirs.fileno())],
                cwd=tree,  # the first place where modules are looked for
                env={"PATH": os.defpath, "PYTHONPATH": f"{tree}:{root}"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        errors: Path | None = None,
        *,
        watched: bool = False,
        folder: Path | None = None,
        input: Path | None = None,
    ) -> Fork:
        """Start a command. ``errors``: where standard error goes, if not into the log too.

        ``folder`` is where it works, ``input`` what stands on its standard input.
        """
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "log": str(log),
            "errors": str(errors or log),
            "watched": watched,
            "folder": str(folder or ""),
            "input": str(input or ""),
        }
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno()])
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE, 1)
        return Fork(channel, int(message), *descriptors)

    def close(self) -> None:
        """End it; commands that run go on until their forks are closed."""
        self._orders.close()
        self._process.wait(timeout=60)


_parents: dict[tuple[Path, Path], Parent] = {}


def parent_of(root: Path, tree: Path) -> Parent:
    """The process to fork from, one for each tree and each run of tests."""
    if (root, tree) not in _parents:
        _parents[root, tree] = found = Parent(root, tree)
        atexit.register(found.close)
    return _parents[root, tree]


def main() -> None:
    """Fork whenever asked; end when nobody can ask any more."""
    for module in IMPORTED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what attendants ended with
    orders = socket.socket(fileno=int(sys.argv[1]))
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, MESSAGE, 1)
        if not message:
            return
        channel = socket.socket(fileno=descriptors[0])
        if not os.fork():
            orders.close()
            attend(channel, json.loads(message))
            os._exit(0)
        channel.close()


def attend(channel: socket.socket, order: dict[str, Any]) -> None:
    """Fork the command, and say what it ended with. Returns in the attendant alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        import app.cli.main

        become(channel, **order)
        app.cli.main.main()
        raise AssertionError("a command ends by an exit")
    code = ended(channel, pid)
    with suppress(OSError):  # nobody may want to know any more
        channel.send(str(code).encode())


def become(
    channel: socket.socket,
    *,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: str,
    errors: str,
    watched: bool,
    folder: str,
    input: str,
) -> None:
    """In the fork: be watched, if it is to be, and look like a command that a shell began."""
    if input:
        given = os.open(input, os.O_RDONLY)
        os.dup2(given, 0)
        os.close(given)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as the process lives
    if folder:
        os.chdir(folder)
    for path, number in ((log, 1), (errors, 2)):
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, number)
        os.close(output)
    listeners = [install()] if watched else []
    # Not among the calls that wait for an answer: nobody listens yet.
    socket.send_fds(channel, [str(os.getpid()).encode()], listeners)
    for descriptor in (*listeners, channel.detach()):
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    # As at the start of an interpreter: plug-ins may lie there.
    more = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [path for path in more if path and path not in sys.path]
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
