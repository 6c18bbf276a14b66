"""256 tiny wheels over 8 connections, every check on, everything flushed to the disk.

Each wheel once as the first of its project and once as one more release of a single
project. Compared with what the disk alone can do: small files written, flushed and linked
into a flushed folder, by as many threads. ``--calls`` counts the flushes of the server in
a further run under strace.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import uvloop

from benchmarks import client
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, PYPICLOUD, serve, temporary_folder
from tests.factories import form, make_wheel

CALLS = ("fsync", "fdatasync", "openat", "linkat", "unlinkat", "mkdirat", "renameat")


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--wheels", type=int, default=256)
    arguments.add_argument("--connections", type=int, default=8)
    arguments.add_argument("--calls", action="store_true", help="count system calls, by strace")
    chosen = arguments.parse_args()
    wheels, connections = chosen.wheels, chosen.connections
    figures: list[Figure] = []
    with temporary_folder() as folder:
        with serve(folder) as server:
            _upload(server.port, _projects("warm", connections), connections)
            for label, requests in (
                ("each a new project", _projects("new", wheels)),
                ("all of one project", _releases("one", wheels)),
            ):
                say(f"{wheels} wheels, {label}")
                before = server.cpu()
                load = _upload(server.port, requests, connections)
                spent = (server.cpu() - before) / wheels
                figures += [
                    Figure(f"{label}", load.rate, "files/s", "90"),
                    Figure(f"{label}, processor for each", spent * 1000, "ms"),
                    Figure(f"{label}, median", load.median * 1000, "ms"),
                    Figure(f"{label}, slowest of a hundred", load.slowest_percent * 1000, "ms"),
                ]
            figures.append(Figure("server, peak", server.memory().peak / MIB, "MiB"))
        say("the disk alone")
        flushes = _raw_rate(folder / "raw", wheels, connections)
        figures.append(Figure("disk alone, one flushed file and folder", flushes, "/s"))
    if chosen.calls:
        figures += _counted(wheels, connections)
    show("upload_small", figures, as_json=chosen.json)


def _projects(name: str, wheels: int) -> list[tuple[str, str]]:
    return [(f"{name}-{number}", "1.0") for number in range(wheels)]


def _releases(name: str, wheels: int) -> list[tuple[str, str]]:
    return [(name, f"1.{number}") for number in range(wheels)]


def _upload(port: int, releases: list[tuple[str, str]], connections: int) -> client.Load:
    requests = [_request(port, *release) for release in releases]
    return uvloop.run(client.send(port, iter(requests), connections=connections))


def _request(port: int, name: str, version: str) -> bytes:
    made = make_wheel(name, version)
    head = client.form_head(form(made, name, version), made.filename)
    body = head + made.content + client.FORM_TAIL
    return client.post_head(port, len(body)) + body


def _raw_rate(folder: Path, files: int, threads: int) -> float:
    """Small files a second: written, flushed, given their names, the folder flushed."""
    folder.mkdir()

    def add(number: int) -> None:
        temporary = folder / f"{number}.part"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, b"x" * 1000)
        os.fsync(descriptor)
        os.close(descriptor)
        temporary.rename(folder / str(number))
        parent = os.open(folder, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(add, range(files)))
    return files / (time.perf_counter() - began)


def _counted(wheels: int, connections: int) -> list[Figure]:
    """System calls of the server for each wheel, less those of a start without uploads."""
    say("again, counting system calls")
    idle = _calls(0, connections)
    busy = _calls(wheels, connections)
    return [
        Figure(f"{name} for each new project's wheel", (busy[name] - idle[name]) / wheels, "")
        for name in CALLS
        if busy[name] > idle[name]
    ]


def _calls(wheels: int, connections: int) -> dict[str, int]:
    with temporary_folder() as folder:
        counts = folder / "calls"
        tracing = ("strace", "-f", "-c", "-o", str(counts), "-e", f"trace={','.join(CALLS)}")
        with serve(folder, command=(*tracing, PYPICLOUD, "serve")) as server:
            if wheels:
                _upload(server.port, _projects("new", wheels), connections)
            with suppress(ProcessLookupError):
                os.kill(server.pid, 15)
            time.sleep(2)
        # % time, seconds, usecs/call, calls, perhaps errors, name
        lines = [line.split() for line in counts.read_text().splitlines()]
    found = {line[-1]: int(line[3]) for line in lines if line and line[-1] in CALLS}
    return {name: found.get(name, 0) for name in CALLS}


if __name__ == "__main__":
    main()
