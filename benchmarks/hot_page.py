"""Hot answers beside nginx, which serves the same bytes from disk: in turns, in one run.

One worker each, 32 connections that are kept, a project of 200 files, packed pages. Needs
Debian's ``nginx`` and ``wrk``.
"""

from __future__ import annotations

import argparse
import base64
import http.client
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import filled
from benchmarks.nginx import nginx
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, PASSWORD, Server, serve, temporary_folder
from benchmarks.wrk import Load, load

JSON = "Accept: application/vnd.pypi.simple.v1+json"
HTML = "Accept: text/html"
GZIP = "Accept-Encoding: gzip, deflate"
BASIC = "Authorization: Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
FILES = 200
QUIET = "1 h"
"""Between two reconciliations: nothing but our requests may ask the cache."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of answer: what we are asked, and the file that nginx serves instead."""

    name: str
    path: str
    file: str
    headers: tuple[str, ...]
    theirs: tuple[str, ...]
    goal: str


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--connections", type=int, default=32, help="at a time (32)")
    arguments.add_argument("--seconds", type=int, default=2, help="of each turn (2)")
    arguments.add_argument("--turns", type=int, default=3, help="turns of each kind (3)")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        filled.fill_cache(folder, projects=1, files=FILES)
        with (
            serve(folder, reconcile_interval=QUIET) as ours,
            nginx(folder) as theirs,
        ):
            figures: list[Figure] = []
            for case in _cases(ours, theirs, folder / "www"):
                say(case.name)
                figures += _compare(case, ours, theirs, chosen)
            say("known beside anonymous")
            figures += _known(ours, chosen)
            figures.append(Figure("server, resident", ours.memory().resident / MIB, "MiB"))
    show("hot_page", figures, as_json=chosen.json)


def _cases(server: Server, static: Server, www: Path) -> Iterator[Case]:
    """The cases; the files of nginx are what we answer."""
    page = f"/simple/{filled.name(0)}/"
    for label, accept in (("JSON", JSON), ("HTML", HTML)):
        file = f"{label}.page"
        for name, headers in ((file, (accept,)), (f"{file}.gz", (accept, GZIP))):
            (www / name).write_bytes(_ask(server.port, page, *headers)[0])
        every = (accept, GZIP)
        yield Case(f"{label} page", page, f"/{file}", every, (GZIP,), "0.75")
        yield Case(f"{label} page, Basic", page, f"/{file}", (*every, BASIC), (GZIP,), "0.68")
    tag = _ask(server.port, page, JSON, GZIP)[1]
    kept = _ask(static.port, "/JSON.page", GZIP)[1]
    yield Case(
        "304",
        page,
        "/JSON.page",
        (JSON, GZIP, f"If-None-Match: {tag}"),
        (GZIP, f"If-None-Match: {kept}"),
        "0.75",
    )


def _ask(port: int, path: str, *headers: str) -> tuple[bytes, str]:
    """The body as it is sent, and the entity tag."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=dict(line.split(": ", 1) for line in headers))
    answer = connection.getresponse()
    body, tag = answer.read(), answer.headers.get("ETag", "")
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path} on {port}: {answer.status}")
    return body, tag


def _compare(case: Case, ours: Server, theirs: Server, chosen: argparse.Namespace) -> list[Figure]:
    turns: list[tuple[Load, Load]] = []
    for _ in range(chosen.turns):
        one = _turn(ours, case.path, case.headers, chosen)
        other = _turn(theirs, case.file, case.theirs, chosen)
        turns.append((one, other))
    return [
        Figure(f"{case.name}, ours", median(a.rate for a, _ in turns), "/s"),
        Figure(f"{case.name}, nginx", median(b.rate for _, b in turns), "/s"),
        Figure(
            f"{case.name}, rate", median(a.rate / b.rate for a, b in turns), "of nginx", case.goal
        ),
        Figure(f"{case.name}, ours", median(a.processor for a, _ in turns), "CPU s per 1,000"),
        Figure(
            f"{case.name}, processor",
            median(a.processor / b.processor for a, b in turns),
            "of nginx",
            "1.5",
        ),
    ]


def _known(ours: Server, chosen: argparse.Namespace) -> list[Figure]:
    """The same page for somebody with a password and for the anonymous, in turns."""
    page, every = f"/simple/{filled.name(0)}/", (JSON, GZIP)
    turns: list[tuple[Load, Load]] = []
    for _ in range(chosen.turns):
        known = _turn(ours, page, (*every, BASIC), chosen)
        anonymous = _turn(ours, page, every, chosen)
        turns.append((known, anonymous))
    return [
        Figure(
            "JSON page, Basic, rate",
            median(a.rate / b.rate for a, b in turns),
            "of anonymous",
            "0.9",
        ),
        Figure(
            "JSON page, Basic, processor",
            median(a.processor / b.processor for a, b in turns),
            "of anonymous",
            "1.1",
        ),
    ]


def _turn(server: Server, path: str, headers: Sequence[str], chosen: argparse.Namespace) -> Load:
    return load(server, path, headers, connections=chosen.connections, seconds=chosen.seconds)


if __name__ == "__main__":
    main()
