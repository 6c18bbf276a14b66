"""The process that opens archives: reads requests from stdin, writes answers to stdout.

It ends when stdin does. What it raises unexpectedly is told by type and place, never by
message, which could hold bytes of the archive.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import sys

from . import sdist, wheel
from .answer import found, frame
from .limits import Limits
from .members import Refusal
from .record import ALGORITHMS
from .sandbox import allow_cpu, lock_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import TypedDict

    class Request(TypedDict):
        """One file to inspect; ``cpu`` is in seconds."""

        path: str
        filename: str
        kind: str
        strict: bool
        cpu: float
        limits: dict[str, int]


MANY = 20_000
INSPECTIONS = {"bdist_wheel": wheel.inspect, "sdist": sdist.inspect}


def main() -> None:
    """Lock down, say so, and answer until nobody asks any more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the parent, which may go on
        signal.signal(number, signal.SIG_IGN)
    for algorithm in ALGORITHMS:  # loaded while files may still be mapped
        hashlib.new(algorithm, usedforsecurity=False)
    memory, parent = (int(argument) for argument in sys.argv[1:])
    _write(frame({"ready": os.getpid(), "missing": lock_down(memory, parent)}))
    while (head := _read(4)) is not None:
        body = _read(int.from_bytes(head, "big"))
        if body is None:
            return
        _write(answer(json.loads(body)))


def answer(request: Request) -> bytes:
    """The frame that answers a request, whatever the archive does."""
    try:
        return _inspect(request)
    except Refusal as refusal:
        return frame({"refused": str(refusal)})
    except MemoryError:
        pass
    except Exception as error:
        return frame({"crashed": f"{type(error).__name__} at {_place(error.__traceback__)}"})
    # outside the clause: there the frames that hold the memory are still alive
    return frame({"refused": "it takes too much memory to read", "worn": True})


def _inspect(request: Request) -> bytes:
    limits = Limits(**request["limits"])
    allow_cpu(request["cpu"])
    with open(request["path"], "rb") as file:  # noqa: PTH123 (pathlib costs a megabyte)
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Refusal("it is not a regular file")
        inspect = INSPECTIONS[request["kind"]]
        strict = request["strict"]
        contents = inspect(file, status.st_size, request["filename"], limits, strict=strict)
    # so many names leave the memory in pieces
    return found(contents, limits.names, worn=contents["members"] > MANY)


def _place(trace: TracebackType | None) -> str:
    place = "?"
    while trace:
        name = trace.tb_frame.f_code.co_filename
        place = f"{os.path.basename(name)}:{trace.tb_lineno}"  # noqa: PTH119 (as above)
        trace = trace.tb_next
    return place


def _read(count: int) -> bytes | None:
    """Exactly so many bytes of stdin, or None at its end."""
    pieces: list[bytes] = []
    while count:
        piece = os.read(0, count)
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _write(message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(1, view) :]
