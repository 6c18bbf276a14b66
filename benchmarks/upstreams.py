"""Projects of an upstream: hot and cold pages, bursts, a large wheel, and what a lock costs.

Each figure is a ratio or a difference within this run. The upstream is a small server in this
process, on loopback, that answers from memory, so what is ours stands out.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import client, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, Server, serve, temporary_folder
from tests.factories import Made, make_wheel
from tests.servers import upstream as upstreams
from tests.servers.upstream import Asked, Sent, Upstream

JSON = "Accept: application/vnd.pypi.simple.v1+json"
FILES = 200
BURST = 32
TREE = 10
PIECE = 2**16
LINK = 125e6
"""Bytes a second: a gigabit."""
QUIET = "1 h"
"""Between two reconciliations: nothing but our requests may ask the cache."""
UV = Path(__file__).parents[1] / ".venv-clients" / "uv" / "bin" / "uv"


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=1.5, help="of each turn (1.5)")
    arguments.add_argument("--turns", type=int, default=3, help="turns of each kind (3)")
    arguments.add_argument("--pages", type=int, default=20, help="cold pages (20)")
    arguments.add_argument("--size", type=int, default=200, help="MiB of the large wheel (200)")
    chosen = arguments.parse_args()
    with temporary_folder() as folder, upstreams.running(keeps=True) as upstream:
        filled.fill_cache(folder, projects=1, files=FILES)
        upstream.projects["theirs"] = {}
        for number in range(FILES):
            upstream.has("theirs", f"1.{number}")
        with serve(
            folder,
            reconcile_interval=QUIET,
            fallback="cache",
            upstream=upstream.simple,
            default_fetch="everyone",
        ) as server:
            say("hot pages")
            figures = _hot(server, chosen.seconds, chosen.turns)
            say("cold pages")
            figures += _cold(server, upstream, chosen.pages)
            say("bursts")
            figures += _burst(server, upstream, chosen.turns)
            say("a large wheel")
            figures += _large(server, upstream, chosen.size, chosen.turns, "")
            upstream.fault = _paced
            figures += _large(server, upstream, chosen.size, chosen.turns, ", a gigabit a second")
            upstream.fault = None
            say("a lock")
            figures += _lock(server, upstream, folder)
    show("upstreams", figures, as_json=chosen.json)


def _hot(server: Server, seconds: float, turns: int) -> list[Figure]:
    pages = [f"/simple/{filled.name(0)}/", "/simple/theirs/"]
    requests = [client.get(server.port, page, JSON) for page in pages]
    rates: list[tuple[float, float]] = []
    for _ in range(turns):
        ours, theirs = (
            uvloop.run(client.repeat(server.port, request, connections=32, seconds=seconds)).rate
            for request in requests
        )
        rates.append((ours, theirs))
    return [
        Figure("hot page, local", median(ours for ours, _ in rates), "/s"),
        Figure("hot page, upstream's", median(theirs for _, theirs in rates), "/s"),
        Figure("hot page", median(b / a for a, b in rates), "of local", "0.9"),
    ]


def _cold(server: Server, upstream: Upstream, pages: int) -> list[Figure]:
    port = int(upstream.url.rpartition(":")[2])
    apart: list[tuple[float, float]] = []
    for number in range(pages):
        name = f"cold{number}"
        upstream.projects[name] = {
            made.filename: upstreams.Listed(made)
            for made in (make_wheel(name, f"1.{release}") for release in range(FILES // 10))
        }
        direct = _took(port, f"/simple/{name}/")
        apart.append((direct, _took(server.port, f"/simple/{name}/")))
    return [
        Figure("cold page, the upstream's own time", median(a for a, _ in apart) * 1e3, "ms"),
        Figure("cold page, ours beyond that", median(b - a for a, b in apart) * 1e3, "ms", "5"),
    ]


def _took(port: int, path: str) -> float:
    """Seconds until all of an answer came over a connection of its own."""

    async def ask() -> client.Answer:
        async with client.connected(port) as connection:
            return await connection.ask(client.get(port, path, JSON))

    began = time.perf_counter()
    answer = uvloop.run(ask())
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return time.perf_counter() - began


def _burst(server: Server, upstream: Upstream, turns: int) -> list[Figure]:
    seconds: list[float] = []
    asked: list[int] = []
    for turn in range(turns):
        name = f"burst{turn}"
        upstream.has(name)
        upstream.asked.clear()
        request = client.get(server.port, f"/simple/{name}/", JSON)
        load = uvloop.run(client.send(server.port, iter([request] * BURST), connections=BURST))
        seconds.append(load.seconds)
        asked.append(len(upstream.asked))
    return [
        Figure(f"{BURST} cold requests at once", median(seconds), "s", "0.3"),
        Figure(f"{BURST} cold requests at once, asked of the upstream", max(asked), "", "1"),
    ]


def _large(server: Server, upstream: Upstream, size: int, turns: int, pace: str) -> list[Figure]:
    content = os.urandom(size * MIB)
    port = int(upstream.url.rpartition(":")[2])
    rates: list[tuple[float, float, float]] = []
    for turn in range(turns):
        name = f"large{turn}{len(pace)}"
        made = make_wheel(name, "1.0", files={"large.bin": content}, compression=zipfile.ZIP_STORED)
        upstream.has(name, made=made)
        _took(server.port, f"/simple/{name}/")
        path = f"/files/{name}/{made.filename}"
        asked = (_rate(port, path, made), _rate(server.port, path, made))
        rates.append((*asked, _digest_rate(made)))
        del upstream.projects[name]
    what = f"wheel of {size} MiB{pace}"
    return [
        Figure(f"{what}, direct", median(a for a, _, _ in rates) / MIB, "MiB/s"),
        Figure(f"{what}, streamed", median(b for _, b, _ in rates) / MIB, "MiB/s"),
        Figure(f"{what}, its SHA-256 alone", median(c for _, _, c in rates) / MIB, "MiB/s"),
        Figure(what, median(b / a for a, b, _ in rates), "of direct", "0.7"),
    ]


def _paced(asked: Asked, sent: Sent) -> Sent:
    """The answer as it would come over a link of that speed."""
    size = {"Content-Length": str(len(sent.body))}
    return replace(sent, headers={**sent.headers, **size}, pieces=_pieces(sent.body))


def _pieces(body: bytes) -> Iterator[bytes]:
    began = time.perf_counter()
    for start in range(0, len(body), PIECE):
        time.sleep(max(0.0, began + start / LINK - time.perf_counter()))
        yield body[start : start + PIECE]


def _digest_rate(made: Made) -> float:
    """Bytes a second of what no transfer that is checked can do without."""
    began = time.perf_counter()
    hashlib.sha256(made.content)
    return len(made.content) / (time.perf_counter() - began)


def _rate(port: int, path: str, made: Made) -> float:
    """Bytes a second of one transfer, which is not kept here."""

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        left = len(made.content)
        while left and (chunk := await reader.read(2**20)):
            left -= len(chunk)
        writer.close()
        return left

    began = time.perf_counter()
    if uvloop.run(ask()):
        raise SystemExit(f"{path} broke off")
    return len(made.content) / (time.perf_counter() - began)


def _lock(server: Server, upstream: Upstream, folder: Path) -> list[Figure]:
    """What ``uv pip compile`` costs of wheels of a MiB whose core metadata nobody has."""
    size = 0
    for number in range(TREE):
        needs = [("Requires-Dist", f"tree{number + 1}")] if number + 1 < TREE else []
        big = {"big.bin": os.urandom(MIB)}
        made = upstream.has(
            f"tree{number}", made=make_wheel(f"tree{number}", files=big, headers=needs)
        )
        size += len(made.content)
    before = upstream.sent
    index = f"http://127.0.0.1:{server.port}/simple/"
    subprocess.run(
        [UV, "pip", "compile", "-", "--no-cache", "--default-index", index],
        input=b"tree0\n", env={"HOME": str(folder), "PATH": os.defpath},
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return [
        Figure(f"uv pip compile of {TREE} wheels, fetched", (upstream.sent - before) / 1024, "KiB"),
        Figure("what they weigh", size / 1024, "KiB"),
    ]


if __name__ == "__main__":
    main()
