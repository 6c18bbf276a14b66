"""Pages and uploads beside other indexes that hold the same wheels, one after the other.

One worker each. A project of 200 wheels is read over 32 connections that are kept, packed
where a server can; then tiny wheels are uploaded over 8 connections to those that take any,
and one of 200 MiB. Needs Debian's ``nginx`` and ``wrk``, and installs the others.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import client, rivals, upload_large
from benchmarks.nginx import nginx
from benchmarks.report import Figure, parser, say, show
from benchmarks.rivals import PROJECT, RIVALS
from benchmarks.server import MIB, PASSWORD, Server, serve, temporary_folder
from benchmarks.wrk import Load, load
from tests.factories import form, make_wheel

JSON = "Accept: application/vnd.pypi.simple.v1+json"
HTML = "Accept: application/vnd.pypi.simple.v1+html, text/html;q=0.1"
GZIP = "Accept-Encoding: gzip, deflate"
FILES = 200
OURS = "PyPICloud"
QUIET = "1 h"


@dataclass(frozen=True, slots=True)
class Place:
    """A server that runs, its project page, and where it takes uploads, if it does."""

    name: str
    server: Server
    page: str
    upload: str = ""
    who: str = ""


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--connections", type=int, default=32, help="of readers (32)")
    arguments.add_argument("--seconds", type=int, default=4, help="of each turn (4)")
    arguments.add_argument("--wheels", type=int, default=256, help="to upload (256)")
    arguments.add_argument("--mib", type=int, default=200, help="size of the large wheel (200)")
    chosen = arguments.parse_args()
    rivals.install()
    figures: list[Figure] = []
    with temporary_folder() as folder:
        wheels = _wheels(folder / "wheels" / PROJECT)
        with serve(folder, reconcile_interval=QUIET) as ours:
            place = Place(OURS, ours, f"/simple/{PROJECT}/", "/legacy/", f"admin:{PASSWORD}")
            _fill(place, wheels)
            figures += _static(folder, ours, chosen)
            figures += _measured(place, chosen)
            origin = f"http://127.0.0.1:{ours.port}/simple/"
            for rival in RIVALS:
                with _running(rival, folder, wheels, origin) as place:
                    figures += _measured(place, chosen)
    show("peers", figures, as_json=chosen.json)


@contextmanager
def _running(rival: rivals.Rival, folder: Path, wheels: Path, origin: str) -> Iterator[Place]:
    say(rival.name)
    where = rivals.site(folder / rival.name.replace(", ", "-"), wheels, origin)
    with rivals.running(rival, where) as server:
        place = Place(rival.name, server, rival.page.format(PROJECT), rival.upload, rival.who)
        if rival.fill:
            _fill(place, wheels)
        yield place


def _wheels(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number in range(FILES):
        made = make_wheel(PROJECT, f"1.{number}")
        (folder / made.filename).write_bytes(made.content)
    return folder


def _static(folder: Path, ours: Server, chosen: argparse.Namespace) -> list[Figure]:
    """nginx with the bytes of our pages."""
    figures: list[Figure] = []
    with nginx(folder) as server:
        for label, accept in (("JSON", JSON), ("HTML", HTML)):
            for end, headers in (("", (accept,)), (".gz", (accept, GZIP))):
                body = _body(ours.port, f"/simple/{PROJECT}/", headers)
                (folder / "www" / f"{label}.page{end}").write_bytes(body)
            figures += _turns("nginx", server, label, f"/{label}.page", (accept, GZIP), chosen)
    return figures


def _measured(place: Place, chosen: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    for label, accept in (("JSON", JSON), ("HTML", HTML)):
        if label in _type(place, accept).upper():
            figures += _turns(place.name, place.server, label, place.page, (accept, GZIP), chosen)
    if place.upload:
        figures += _uploads(place, chosen)
    return figures


def _turns(
    name: str,
    server: Server,
    label: str,
    path: str,
    headers: Sequence[str],
    chosen: argparse.Namespace,
) -> list[Figure]:
    say(f"{name}: {label}")
    _body(server.port, path, headers)  # the first may be made, and is not what is measured
    found: Load = load(
        server, path, headers, connections=chosen.connections, seconds=chosen.seconds
    )
    return [
        Figure(f"{label} page, {name}", found.rate, "/s"),
        Figure(f"{label} page, {name}", found.processor, "CPU s per 1,000"),
    ]


def _uploads(place: Place, chosen: argparse.Namespace) -> list[Figure]:
    say(f"{place.name}: uploads")
    requests = [_request(place, f"small-{n}", "1.0") for n in range(chosen.wheels)]
    before = place.server.cpu()
    done = uvloop.run(client.send(place.server.port, iter(requests), connections=8))
    spent = (place.server.cpu() - before) / chosen.wheels
    figures = [
        Figure(f"uploads, {place.name}", done.rate, "files/s", "90"),
        Figure(f"uploads, {place.name}", spent * 1000, "CPU ms each"),
    ]
    wheel = upload_large.Wheel(chosen.mib * MIB)
    size, sha256 = wheel.digests()
    idle = place.server.memory().resident
    before = place.server.cpu()
    seconds = _large(place, wheel, size, sha256)
    return [
        *figures,
        Figure(f"{chosen.mib} MiB at once, {place.name}", seconds, "s"),
        Figure(f"{chosen.mib} MiB at once, {place.name}", place.server.cpu() - before, "CPU s"),
        Figure(
            f"{chosen.mib} MiB at once, {place.name}",
            (place.server.memory().peak - idle) / MIB,
            "MiB more than before, at the peak",
        ),
    ]


def _request(place: Place, name: str, version: str) -> bytes:
    made = make_wheel(name, version)
    head = client.form_head(form(made, name, version), made.filename)
    body = head + made.content + client.FORM_TAIL
    line = client.post_head(place.server.port, len(body), path=place.upload, who=place.who)
    return line + body


def _large(place: Place, wheel: upload_large.Wheel, size: int, sha256: str) -> float:
    head = client.form_head(upload_large.fields(sha256), upload_large.FILENAME)
    length = len(head) + size + len(client.FORM_TAIL)
    line = client.post_head(place.server.port, length, path=place.upload, who=place.who)
    with closing(socket.create_connection(("127.0.0.1", place.server.port), 600)) as connected:
        began = time.perf_counter()
        connected.sendall(line + head)
        for chunk in wheel.chunks():
            connected.sendall(chunk)
        connected.sendall(client.FORM_TAIL)
        answer = connected.recv(4096)
        seconds = time.perf_counter() - began
    if b" 200 " not in answer[:16]:
        raise SystemExit(f"{place.name} answered {answer.decode(errors='replace')}")
    return seconds


def _fill(place: Place, wheels: Path) -> None:
    requests = [_request(place, PROJECT, f"1.{n}") for n in range(FILES)]
    uvloop.run(client.send(place.server.port, iter(requests), connections=2))


def _type(place: Place, accept: str) -> str:
    with closing(_asked(place.server.port, place.page, (accept,))) as connection:
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{place.name} answered {answer.status} for {place.page}")
        return answer.headers.get_content_type()


def _body(port: int, path: str, headers: Sequence[str]) -> bytes:
    with closing(_asked(port, path, headers)) as connection:
        return connection.getresponse().read()


def _asked(port: int, path: str, headers: Sequence[str]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=dict(line.split(": ", 1) for line in headers))
    return connection


if __name__ == "__main__":
    main()
