"""The root page of an index with 50,000 projects: seconds to make it, memory of the server."""

from __future__ import annotations

import uvloop

from benchmarks import client, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, serve, temporary_folder

KINDS = {
    "JSON": ("Accept: application/vnd.pypi.simple.v1+json",),
    "HTML": ("Accept: text/html",),
    "JSON, gzip": ("Accept: application/vnd.pypi.simple.v1+json", "Accept-Encoding: gzip"),
    "HTML, gzip": ("Accept: text/html", "Accept-Encoding: gzip"),
}
AGAIN = 5


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--projects", type=int, default=50_000)
    chosen = arguments.parse_args()
    figures = [Figure("projects", chosen.projects, "")]
    with temporary_folder() as folder:
        say(f"filling a cache with {chosen.projects} projects")
        filled.fill_cache(folder, projects=chosen.projects, files=1)
        with serve(folder, reconcile_interval="1 h") as server:
            started = server.memory()
            for label, headers in KINDS.items():
                request = client.get(server.port, "/simple/", *headers)
                answers = uvloop.run(_ask(server.port, request))
                again = min(answer.seconds for answer in answers[1:])
                figures += [
                    Figure(f"{label}, made", answers[0].seconds, "s", "below 1"),
                    Figure(f"{label}, kept", again, "s"),
                    Figure(f"{label}", answers[0].length / MIB, "MiB"),
                ]
            memory = server.memory()
    figures += [
        Figure("server when it started, resident", started.resident / MIB, "MiB"),
        Figure("server afterwards, resident", memory.resident / MIB, "MiB"),
        Figure("server, peak", memory.peak / MIB, "MiB"),
        Figure("start to first answer", server.started, "s", "about 1"),
    ]
    show("memory_pages", figures, as_json=chosen.json)


async def _ask(port: int, request: bytes) -> list[client.Answer]:
    async with client.connected(port) as connection:
        answers = [await connection.ask(request) for _ in range(1 + AGAIN)]
    if any(answer.status != 200 for answer in answers):
        raise SystemExit(f"The server answered {answers[0].status}: {answers[0].body[:500]!r}")
    return answers


if __name__ == "__main__":
    main()
