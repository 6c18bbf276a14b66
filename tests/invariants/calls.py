"""Stop a process, and all its threads, at the calls that change files.

The kernel asks us before each such call is done (seccomp user notification, seccomp(2)):
one counter for every thread and child, so "before the K-th call" means the same for all of
them, which counters that each thread has for itself (those of ``strace``) cannot say.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import select
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
SECCOMP, SECCOMP_SET_MODE_FILTER, NEW_LISTENER = {"x86_64": 317, "aarch64": 277}, 1, 8
ALLOW, ASK, MISSING = 0x7FFF0000, 0x7FC00000, 0x00050026
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
RECEIVE, ANSWER, CONTINUE = 0xC0502100, 0xC0182101, 1
NOTICE = struct.Struct("=QII iIQ6Q")
REPLY = struct.Struct("=QqiI")
MAKING = os.O_CREAT | os.O_TRUNC
IO_URING_SETUP = 425
"""Answered as by a kernel that lacks it: what a ring is given to do is not seen here."""

# On a descriptor: the number of the argument that holds it is 0, but for the last three.
_BY_DESCRIPTOR = {
    "write": (1, 64),
    "writev": (20, 66),
    "pwrite64": (18, 68),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "sendfile": (40, 71),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "sync_file_range": (277, 84),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "fchmod": (91, 52),
    "copy_file_range": (326, 285),
    "splice": (275, 76),
}
_DESCRIPTOR = {"copy_file_range": 2, "splice": 2}
# On a path: the number of the argument that points to the path that appears or disappears.
_BY_PATH = {
    "open": (2, None, 0),
    "openat": (257, 56, 1),
    "creat": (85, None, 0),
    "truncate": (76, 45, 0),
    "rename": (82, None, 1),
    "renameat": (264, 38, 3),
    "renameat2": (316, 276, 3),
    "mkdir": (83, None, 0),
    "mkdirat": (258, 34, 1),
    "rmdir": (84, None, 0),
    "link": (86, None, 1),
    "linkat": (265, 37, 3),
    "unlink": (87, None, 0),
    "unlinkat": (263, 35, 1),
    "symlink": (88, None, 1),
    "symlinkat": (266, 36, 2),
    "mknod": (133, None, 0),
    "mknodat": (259, 33, 1),
}
_FLAGS = {"open": 1, "openat": 2}
"""Which argument says whether the call makes or empties a file; if not, it is let pass."""

_COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]
NUMBERS: dict[str, int] = {
    name: number
    for name, columns in {**_BY_DESCRIPTOR, **_BY_PATH}.items()
    if (number := columns[_COLUMN]) is not None
}
_NAMES = {number: name for name, number in NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was about to be made, and the path or descriptor it was made on."""

    name: str
    where: str

    @property
    def writes(self) -> bool:
        """Whether it is one of the many that write bytes; the others are few and telling."""
        return "write" in self.name


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class Watch:
    """Counts the calls of a process that change what is below ``folder``, once armed.

    Until ``start`` the first of them waits, so that a watch can be armed before.
    What goes to a connection is let pass: readers would be counted with it.
    """

    def __init__(self, listener: int, kill: Callable[[], None], folder: Path) -> None:
        self._listener = listener
        self._kill = kill
        self._folder = f"{folder}/"
        self._lock = threading.Lock()
        self._armed = False
        self._last: int | None = None
        self.calls: list[Call] = []
        self.killed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Let calls be made."""
        self._thread.start()

    def arm(self, last: int | None = None) -> None:
        """Count from now on; kill the process instead of letting it make call ``last``."""
        with self._lock:
            self._armed, self._last = True, last

    def close(self) -> None:
        """Return when nobody is watched any more."""
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "somebody who is watched still lives"

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while not any(event & select.POLLHUP for _, event in poll.poll()):
                notice = bytearray(NOTICE.size)
                with suppress(FileNotFoundError, InterruptedError):  # it died meanwhile
                    fcntl.ioctl(self._listener, RECEIVE, notice)
                    self._notice(notice)
        finally:
            os.close(self._listener)

    def _notice(self, notice: bytearray) -> None:
        number, thread, _, call, _, _, *arguments = NOTICE.unpack(notice)
        with self._lock:
            if self.killed.is_set():
                return
            if self._armed and (found := self._concerns(_NAMES[call], thread, arguments)):
                self.calls.append(found)
                if len(self.calls) == self._last:
                    self._kill()
                    self.killed.set()
                    return
        fcntl.ioctl(self._listener, ANSWER, bytearray(REPLY.pack(number, 0, 0, CONTINUE)))

    def _concerns(self, name: str, thread: int, arguments: list[int]) -> Call | None:
        if name in _BY_PATH:
            return Call(name, _text(thread, arguments[_BY_PATH[name][2]]))
        where = ""
        with suppress(FileNotFoundError):
            descriptor = arguments[_DESCRIPTOR.get(name, 0)]
            where = str(Path(f"/proc/{thread}/fd/{descriptor}").readlink())
        ours = where.startswith(self._folder)
        return Call(name, where.removeprefix(self._folder)) if ours else None


def _text(thread: int, address: int) -> str:
    """The string at an address of the thread, which waits for our answer."""
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(512).split(b"\0")[0].decode(errors="replace")


def install() -> int:
    """Have this process and all that come of it watched; the descriptor to listen on."""
    library = ctypes.CDLL(None, use_errno=True)
    code = _filter()
    program = _Program(len(code) // 8, code)
    library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    seccomp = SECCOMP[platform.machine()]
    listener: int = library.syscall(
        seccomp, SECCOMP_SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program)
    )
    if listener < 0:
        raise OSError(ctypes.get_errno(), "this kernel lets nobody be watched")
    return listener


def _filter() -> bytes:
    """A classic BPF program: seccomp_data has the number at 0, the arguments from 16 on."""
    lines = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, IO_URING_SETUP), (RETURN, 0, 0, MISSING)]
    for name, number in NUMBERS.items():
        if name in _FLAGS:
            lines += [
                (EQUAL, 0, 4, number),
                (LOAD, 0, 0, 16 + 8 * _FLAGS[name]),
                (ANY_BIT, 0, 1, MAKING),
                (RETURN, 0, 0, ASK),
                (RETURN, 0, 0, ALLOW),
            ]
        else:
            lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ASK)]
    lines.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBL", *line) for line in lines)
