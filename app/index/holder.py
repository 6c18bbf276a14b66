"""Who holds a lease, and whether they still live, where that can be known for certain."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import msgspec
from ulid import ULID

_PROCESSES = Path("/proc")


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """One index of one process. ``name`` is for people: ``host:pid``.

    ``machine`` is where a process id means something: the run of a kernel and one of its
    process namespaces; empty where that cannot be told. ``started`` tells a process from a
    later one with the same id.
    """

    id: str
    name: str
    machine: str = ""
    pid: int = 0
    started: str = ""


def introduce() -> Holder:
    """A holder of this process; reads files."""
    pid = os.getpid()
    return Holder(
        id=str(ULID()),
        name=f"{socket.gethostname()[:80]}:{pid}",
        machine=_machine(),
        pid=pid,
        started=_started(pid) or "",
    )


def is_gone(holder: Holder) -> bool:
    """Whether the holder's process has certainly ended; reads files.

    False for one of another machine: nobody here can know.
    """
    if not holder.machine or holder.machine != _machine():
        return False
    return _started(holder.pid) != holder.started


@cache
def _machine() -> str:
    try:
        boot = (_PROCESSES / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROCESSES / 'self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return ""


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None where there is none."""
    try:
        stat = (_PROCESSES / f"{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]
