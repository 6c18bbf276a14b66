"""Pages of projects with 200 files: each for the first time after a start, then hot.

The hot page is compared with a bare uvicorn on the same protocol that reads the same
bytes from a file for each request.
"""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import client, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, Server, serve, temporary_folder

FILES = 200
JSON = "Accept: application/vnd.pypi.simple.v1+json"
HTML = "Accept: text/html"
COUNTED = (sys.executable, "-m", "benchmarks.counted", "serve")
BARE = (sys.executable, "-m", "benchmarks.bare")
QUIET = "1 h"
"""Between two reconciliations: nothing but our requests may ask the cache."""


@dataclass(frozen=True, slots=True)
class Cold:
    """First requests, in seconds; statements each."""

    first: float
    seconds: list[float]
    cache: float
    access: float
    length: int


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--projects", type=int, default=40, help="how many pages (40)")
    arguments.add_argument("--connections", type=int, default=32, help="for the hot page (32)")
    arguments.add_argument("--seconds", type=float, default=5.0, help="for each hot page (5)")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        say(f"filling an index with {chosen.projects} projects of {FILES} files")
        filled.fill_cache(folder, projects=chosen.projects, files=FILES)
        figures: list[Figure] = []
        for label, accept in (("JSON", JSON), ("HTML", HTML)):
            cold = _cold(folder, accept, chosen.projects)
            figures += _cold_figures(label, cold)
        figures += _hot(folder, chosen.connections, chosen.seconds)
    show("cold_page", figures, as_json=chosen.json)


def _cold(folder: Path, accept: str, projects: int) -> Cold:
    statements = folder / "statements"
    statements.write_text("")
    variables = {"STATEMENTS": str(statements)}
    with serve(folder, command=COUNTED, variables=variables, reconcile_interval=QUIET) as server:
        requests = [
            client.get(server.port, f"/simple/{filled.name(number)}/", accept)
            for number in range(projects)
        ]
        before = len(statements.read_text().splitlines())
        answers = uvloop.run(_one_by_one(server.port, requests))
        noted = statements.read_text().splitlines()[before:]
    cache = sum(line.startswith("cache ") for line in noted)
    return Cold(
        first=answers[0].seconds,
        seconds=[answer.seconds for answer in answers[1:]],
        cache=cache / projects,
        access=(len(noted) - cache) / projects,
        length=answers[0].length,
    )


async def _one_by_one(port: int, requests: list[bytes]) -> list[client.Answer]:
    async with client.connected(port) as connection:
        answers = [await connection.ask(request) for request in requests]
    if any(answer.status != 200 for answer in answers):
        raise SystemExit(f"The server answered {answers[0].status}: {answers[0].body!r}")
    return answers


def _cold_figures(label: str, cold: Cold) -> list[Figure]:
    return [
        Figure(f"cold {label} page, median", median(cold.seconds) * 1000, "ms"),
        Figure(f"cold {label} page, the first after the start", cold.first * 1000, "ms"),
        Figure(f"cold {label} page, statements to the cache", cold.cache, "", "1"),
        Figure(f"cold {label} page, statements to the users", cold.access, ""),
        Figure(f"{label} page", cold.length / 1024, "KiB"),
    ]


def _hot(folder: Path, connections: int, seconds: float) -> list[Figure]:
    figures: list[Figure] = []
    path = f"/simple/{filled.name(0)}/"
    kinds = {
        "JSON": (JSON,),
        "HTML": (HTML,),
        "JSON, gzip": (JSON, "Accept-Encoding: gzip"),
    }
    with serve(folder, reconcile_interval=QUIET) as server:
        page = uvloop.run(_one_by_one(server.port, [client.get(server.port, path, JSON)]))[0].body
        for label, headers in kinds.items():
            request = client.get(server.port, path, *headers)
            figures += _load(f"hot {label} page", server, request, connections, seconds)
        figures.append(Figure("server, resident", server.memory().resident / MIB, "MiB"))
    plain = folder / "page"
    for label, content in (("JSON", page), ("JSON, gzip", gzip.compress(page, 6))):
        plain.write_bytes(content)
        with serve(folder, command=BARE, variables={"PAGE": str(plain)}) as server:
            request = client.get(server.port, "/")
            name = f"bare uvicorn reading a file, {label}"
            figures += _load(name, server, request, connections, seconds)
    return figures


def _load(
    label: str, server: Server, request: bytes, connections: int, seconds: float
) -> list[Figure]:
    say(label)
    before = server.cpu()
    load = uvloop.run(client.repeat(server.port, request, connections=connections, seconds=seconds))
    spent = (server.cpu() - before) / load.answers
    return [
        Figure(f"{label}, {connections} connections", load.rate, "/s"),
        Figure(f"{label}, processor for each", spent * 1000, "ms"),
        Figure(f"{label}, median", load.median * 1000, "ms"),
    ]


if __name__ == "__main__":
    main()
