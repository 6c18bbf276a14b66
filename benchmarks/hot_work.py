"""Hot answers at work: small files and redirects, many projects, a writer beside readers, workers.

Ratios within one run: small answers beside nginx that serves a file of that size, 5,000 projects
at random beside one, 32 readers of a project to which somebody uploads 20 files a second beside
the same readers alone, two workers beside one. Needs Debian's ``nginx`` and ``wrk``.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import client, filled
from benchmarks.nginx import nginx
from benchmarks.object_store import seaweed
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import Server, serve, temporary_folder
from benchmarks.wrk import Load, load
from tests.factories import form, make_wheel
from tests.servers import s3

JSON = "Accept: application/vnd.pypi.simple.v1+json"
GZIP = "Accept-Encoding: gzip, deflate"
DOOR = "Cookie: nothing=here"
"""A request with a cookie is always for the doors."""
QUIET = "1 h"
PROJECTS = 5000
FILES = 20
EACH = 20
"""Files that the writer uploads in a second."""

_RANDOM = """\
function request()
  return wrk.format("GET", string.format("/simple/project-%06d/", math.random(0, {most})))
end
"""


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--connections", type=int, default=32, help="of readers (32)")
    arguments.add_argument("--seconds", type=int, default=3, help="of each turn (3)")
    arguments.add_argument("--turns", type=int, default=3, help="turns of each kind (3)")
    chosen = arguments.parse_args()
    figures = [
        *_metadata(chosen),
        *_redirect(chosen),
        *_many(chosen),
        *_beside_a_writer(chosen),
        *_workers(chosen),
    ]
    show("hot_work", figures, as_json=chosen.json)


def _metadata(chosen: argparse.Namespace) -> list[Figure]:
    say("core metadata")
    with temporary_folder() as folder, serve(folder, reconcile_interval=QUIET) as ours:
        uvloop.run(client.send(ours.port, iter([_request(ours.port, "1.0")]), connections=1))
        path = "/files/demo/demo-1.0-py3-none-any.whl.metadata"
        with nginx(folder) as theirs:
            (folder / "www/small").write_bytes(_body(ours.port, path))
            return _beside("core metadata", (ours, path), (theirs, "/small"), chosen)


def _redirect(chosen: argparse.Namespace) -> list[Figure]:
    say("redirects to an object store")
    with temporary_folder() as folder, seaweed() as store:
        filled.fill_cache(folder, projects=1, files=1)
        with (
            serve(
                folder,
                variables=store.environment,
                storage=f"s3://{s3.BUCKET}/benchmark",
                reconcile_interval=QUIET,
                url_expires="12 h",
            ) as ours,
            nginx(folder) as theirs,
        ):
            name = filled.name(0)
            path = f"/files/{name}/{name.replace('-', '_')}-1.0.0-py3-none-any.whl"
            (folder / "www/small").write_bytes(b"x" * 1000)
            return _beside("302", (ours, path), (theirs, "/small"), chosen)


def _beside(
    name: str, ours: tuple[Server, str], theirs: tuple[Server, str], chosen: argparse.Namespace
) -> list[Figure]:
    turns = [(_turn(*ours, (), chosen), _turn(*theirs, (), chosen)) for _ in range(chosen.turns)]
    return [
        Figure(f"{name}, ours", median(a.rate for a, _ in turns), "/s"),
        Figure(f"{name}, nginx", median(b.rate for _, b in turns), "/s"),
        Figure(f"{name}, rate", median(a.rate / b.rate for a, b in turns), "of nginx", "0.7"),
        Figure(
            f"{name}, processor", median(a.processor / b.processor for a, b in turns), "of nginx"
        ),
    ]


def _many(chosen: argparse.Namespace) -> list[Figure]:
    say(f"{PROJECTS} projects at random")
    with temporary_folder() as folder:
        filled.fill_cache(folder, projects=PROJECTS, files=FILES)
        script = folder / "random.lua"
        script.write_text(_RANDOM.format(most=PROJECTS - 1))
        same = folder / "same.lua"
        same.write_text(_RANDOM.format(most=0))
        with serve(folder, reconcile_interval=QUIET) as server:
            # Each page is made once before it is hot.
            pages = (
                client.get(server.port, f"/simple/{filled.name(n)}/", JSON, GZIP)
                for n in range(PROJECTS)
            )
            uvloop.run(client.send(server.port, pages, connections=8))
            _turn(server, "/", (JSON, GZIP), chosen, script)
            turns = [
                (
                    _turn(server, "/", (JSON, GZIP), chosen, script),
                    _turn(server, "/", (JSON, GZIP), chosen, same),
                )
                for _ in range(chosen.turns)
            ]
    return [
        Figure(f"{PROJECTS} projects at random", median(a.rate for a, _ in turns), "/s"),
        Figure("one of them", median(b.rate for _, b in turns), "/s"),
        Figure("at random, rate", median(a.rate / b.rate for a, b in turns), "of one", "0.8"),
    ]


def _beside_a_writer(chosen: argparse.Namespace) -> list[Figure]:
    say("readers beside a writer")
    with temporary_folder() as folder, serve(folder, reconcile_interval=QUIET) as server:
        filled_first = [_request(server.port, f"0.{n}") for n in range(200)]
        uvloop.run(client.send(server.port, iter(filled_first), connections=4))
        quiet, busy = [], []
        for turn in range(chosen.turns):
            quiet.append(uvloop.run(_readers(server, chosen, uploads=None)))
            busy.append(uvloop.run(_readers(server, chosen, uploads=turn + 1)))
    ratio = median(b / q for q, b in zip(quiet, busy, strict=True))
    return [
        Figure("readers alone", median(quiet), "/s"),
        Figure(f"readers while {EACH} files a second come", median(busy), "/s"),
        Figure("beside a writer, rate", ratio, "of alone", "0.5"),
    ]


async def _readers(server: Server, chosen: argparse.Namespace, *, uploads: int | None) -> float:
    page = client.get(server.port, "/simple/demo/", JSON, GZIP)
    reading = client.repeat(
        server.port, page, connections=chosen.connections, seconds=chosen.seconds
    )
    if uploads is None:
        return (await reading).rate
    writing = asyncio.create_task(_write(server, chosen.seconds, uploads))
    rate = (await reading).rate
    await writing
    return rate


async def _write(server: Server, seconds: float, turn: int) -> None:
    """Upload, and see each file on the very next page."""
    page = client.get(server.port, "/simple/demo/", JSON)
    began = time.perf_counter()
    async with client.connected(server.port) as writer, client.connected(server.port) as reader:
        for number in range(round(seconds * EACH)):
            await asyncio.sleep(max(0.0, began + number / EACH - time.perf_counter()))
            version = f"{turn}.{number}"
            answer = await writer.ask(_request(server.port, version))
            shown = await reader.ask(page)
            if answer.status != 200 or f"demo-{version}-".encode() not in shown.body:
                raise SystemExit(f"{version} is not on the page after its upload.")


def _workers(chosen: argparse.Namespace) -> list[Figure]:
    """On two cores; wrk needs a part of them, so what the server works most for shows most."""
    figures: list[Figure] = []
    with temporary_folder() as folder:
        filled.fill_cache(folder, projects=1, files=200)
        path = f"/simple/{filled.name(0)}/"
        rates: dict[str, dict[str, Load]] = {"door": {}, "hot": {}}
        for workers in ("1", "2"):
            say(f"workers: {workers}")
            with serve(folder, reconcile_interval=QUIET, workers=workers) as server:
                for kind, more in (("door", (DOOR,)), ("hot", ())):
                    _turn(server, path, (JSON, GZIP, *more), chosen)
                    rates[kind][workers] = _turn(server, path, (JSON, GZIP, *more), chosen)
        for kind, found in rates.items():
            figures += [
                Figure(f"{kind}, one worker", found["1"].rate, "/s"),
                Figure(f"{kind}, two workers", found["2"].rate, "/s"),
                Figure(f"{kind}, two workers", found["2"].rate / found["1"].rate, "of one", "1.7"),
            ]
    return figures


def _request(port: int, version: str) -> bytes:
    made = make_wheel("demo", version)
    head = client.form_head(form(made, "demo", version), made.filename)
    body = head + made.content + client.FORM_TAIL
    return client.post_head(port, len(body)) + body


def _body(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def _turn(
    server: Server,
    path: str,
    headers: Sequence[str],
    chosen: argparse.Namespace,
    script: Path | None = None,
) -> Load:
    return load(
        server,
        path,
        headers,
        connections=chosen.connections,
        seconds=chosen.seconds,
        script=script,
    )


if __name__ == "__main__":
    main()
