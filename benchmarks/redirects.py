"""Redirects to presigned URLs of an S3 server, beside a small page, in turns on one server.

A file that is asked for again and again gets the URL that is kept; of many files, each asked
for once, each gets one that is signed for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import uvloop

from benchmarks import client, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, Server, serve, temporary_folder
from tests.servers import running, s3

JSON = "Accept: application/vnd.pypi.simple.v1+json"
QUIET = "1 h"
"""Between two reconciliations: nothing but our requests may ask the cache."""
LIFE = "12 h"
"""Of a URL: no half life ends while this runs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer took: answers each second, seconds of the server's processor."""

    rate: float
    processor: float


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=5000, help="files signed for (5000)")
    arguments.add_argument("--connections", type=int, default=16, help="at a time (16)")
    arguments.add_argument("--seconds", type=float, default=2.0, help="of each turn (2)")
    arguments.add_argument("--turns", type=int, default=4, help="turns of each kind (4)")
    chosen = arguments.parse_args()
    running.begin()
    try:
        with temporary_folder() as folder:
            say(f"filling an index with {chosen.files} projects of one file")
            filled.fill_cache(folder, projects=chosen.files, files=1)
            with serve(
                folder,
                variables=s3.seaweed().environment,
                storage=f"s3://{s3.BUCKET}/benchmark",
                reconcile_interval=QUIET,
                url_expires=LIFE,
            ) as server:
                figures = _first(server, chosen.files, chosen.connections)
                figures += _turns(server, chosen.turns, chosen.connections, chosen.seconds)
                figures.append(Figure("server, resident", server.memory().resident / MIB, "MiB"))
    finally:
        running.end()
    show("redirects", figures, as_json=chosen.json)


def _first(server: Server, files: int, connections: int) -> list[Figure]:
    say("a redirect for each file")
    requests = (client.get(server.port, _file(number)) for number in range(1, files))
    before = server.cpu()
    load = uvloop.run(client.send(server.port, requests, connections=connections, status=302))
    processor = (server.cpu() - before) / load.answers
    return [
        Figure("redirect, signed for", load.rate, "/s"),
        Figure("redirect, signed for, processor", processor * 1000, "ms"),
    ]


def _turns(server: Server, turns: int, connections: int, seconds: float) -> list[Figure]:
    page = client.get(server.port, f"/simple/{filled.name(0)}/", JSON)
    redirect = client.get(server.port, _file(0))
    pages: list[Cost] = []
    redirects: list[Cost] = []
    for turn in range(turns):
        say(f"turn {turn + 1} of {turns}")
        for request, status, costs in ((page, 200, pages), (redirect, 302, redirects)):
            before = server.cpu()
            load = uvloop.run(
                client.repeat(
                    server.port, request, connections=connections, seconds=seconds, status=status
                )
            )
            costs.append(Cost(load.rate, (server.cpu() - before) / load.answers))
    ratios = [one.processor / other.processor for one, other in zip(redirects, pages, strict=True)]
    return [
        *_figures("small page", pages),
        *_figures("redirect, kept", redirects),
        Figure("redirect, kept, processor of a small page's", median(ratios), "", "1 at most"),
    ]


def _figures(label: str, costs: list[Cost]) -> list[Figure]:
    return [
        Figure(label, median(cost.rate for cost in costs), "/s"),
        Figure(f"{label}, processor", median(cost.processor for cost in costs) * 1000, "ms"),
    ]


def _file(number: int) -> str:
    name = filled.name(number)
    return f"/files/{name}/{name.replace('-', '_')}-1.0.0-py3-none-any.whl"


if __name__ == "__main__":
    main()
