"""The web pages of an index with 10,000 projects, and of projects with 2,000 files.

One of these has 2,000 releases of a file each, one has all its files in a single release.
Each page is asked as a browser does, packed, over one connection: for the first time after
a start (what pages above it needed as well is at hand then) and soon again, while the server
may still read what it wants to know of all projects; and, with the processor's time of each,
once it rests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from statistics import median

import uvloop
from packaging.utils import NormalizedName

from app.cache import sql
from app.index import blobs
from app.models import Project
from app.simple import legacy
from app.web.releases import newest, releases
from benchmarks import client, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import Server, serve, temporary_folder

FILES = 2_000
LONG = NormalizedName("long")
"""Of so many releases."""
BROAD = NormalizedName("broad")
"""Of one release with so many files."""
SMALL = filled.name(7)
PAGES = (
    "/",
    "/search?q=project-00",
    "/search?q=",
    "/search?q=&order=newest&page=250",
    "/search?q=projcet-000123",
    f"/project/{SMALL}/",
    f"/project/{LONG}/",
    f"/project/{LONG}/?python=py3&page=20",
    f"/project/{LONG}/releases",
    f"/project/{BROAD}/",
    f"/project/{BROAD}/?python=py3&page=20",
    "/rss/updates.xml",
    f"/rss/project/{LONG}/releases.xml",
)
HEADERS = ("Accept: text/html", "Accept-Encoding: gzip")
AGAIN = 20
GOAL = "100"
"""Milliseconds."""
SEARCHES = "1000000"
"""In a minute: no search of ours is refused."""
PATIENCE = 300
"""Seconds until the server has to rest."""
IDLE = 0.05
"""Of a processor: less is rest."""
_METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: A project made to be counted
Author-email: Somebody <somebody@example.com>
License-Expression: MIT
Requires-Python: >=3.10
Requires-Dist: packaging>=24
Requires-Dist: httpx>=0.27
Requires-Dist: rich>=13; extra == "cli"
Provides-Extra: cli
Project-URL: Source, https://example.com/source
Classifier: Development Status :: 4 - Beta
Classifier: Programming Language :: Python :: 3
Description-Content-Type: text/markdown

# A project

It is made to be counted.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one page took: for the first time, and the median of the next ones; in seconds."""

    path: str
    first: float
    soon: float
    length: int


@dataclass(frozen=True, slots=True)
class Rested:
    """What answers took once the server rested, in seconds.

    ``again`` is their median; the ``slowest`` often waited for a search for garbage.
    ``processor`` is the mean.
    """

    again: float
    slowest: float
    processor: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All pages; ``settling`` is the processor's time, in seconds, until the server rested."""

    pages: list[tuple[Asked, Rested]]
    settling: float


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--projects", type=int, default=10_000, help="beside the large (10,000)")
    arguments.add_argument("--again", type=int, default=AGAIN, help=f"times ({AGAIN})")
    chosen = arguments.parse_args()
    figures = [
        Figure("projects", chosen.projects, ""),
        Figure("files of a large one", FILES, ""),
    ]
    with temporary_folder() as folder:
        say(f"filling a cache with {chosen.projects} projects, and two of {FILES} files")
        _fill(folder, chosen.projects)
        with serve(folder, reconcile_interval="1 h", limits__searches=SEARCHES) as server:
            measured = uvloop.run(_measure(server, chosen.again))
    figures.append(Figure("after the first pages until it rests", measured.settling, "s"))
    for asked, rested in measured.pages:
        figures += _figures(asked, rested)
    show("web_pages", figures, as_json=chosen.json)


def _figures(asked: Asked, rested: Rested) -> list[Figure]:
    return [
        Figure(f"{asked.path}  first", asked.first * 1000, "ms", GOAL),
        Figure(f"{asked.path}  soon again", asked.soon * 1000, "ms", GOAL),
        Figure(f"{asked.path}  median", rested.again * 1000, "ms", GOAL),
        Figure(f"{asked.path}  slowest", rested.slowest * 1000, "ms"),
        Figure(f"{asked.path}  processor", rested.processor * 1000, "ms"),
        Figure(f"{asked.path}  size", asked.length / 1024, "KiB"),
    ]


async def _measure(server: Server, again: int) -> Measured:
    async with client.connected(server.port) as connection:
        asked = [await _ask(server, connection, path, again) for path in PAGES]
        before = server.cpu()
        await _rest(server)
        settling = server.cpu() - before
        rested = [await _ask_rested(server, connection, path, again) for path in PAGES]
    return Measured(list(zip(asked, rested, strict=True)), settling)


async def _ask(server: Server, connection: client.Connection, path: str, again: int) -> Asked:
    say(path)
    answers = await _answers(server, connection, path, 1 + again)
    soon = median(answer.seconds for answer in answers[1:])
    return Asked(path, answers[0].seconds, soon, answers[0].length)


async def _ask_rested(
    server: Server, connection: client.Connection, path: str, again: int
) -> Rested:
    before = server.cpu()
    answers = await _answers(server, connection, path, again)
    spent = server.cpu() - before
    seconds = [answer.seconds for answer in answers]
    return Rested(median(seconds), max(seconds), spent / again)


async def _answers(
    server: Server, connection: client.Connection, path: str, number: int
) -> list[client.Answer]:
    request = client.get(server.port, path, *HEADERS)
    answers = [await connection.ask(request) for _ in range(number)]
    for answer in answers:
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}: {answer.body[:500]!r}")
    return answers


async def _rest(server: Server) -> None:
    """Wait until the server does next to nothing by itself."""
    say("waiting until the server rests")
    for _ in range(PATIENCE):
        before = server.cpu()
        await asyncio.sleep(1)
        if server.cpu() - before < IDLE:
            return
    raise SystemExit(f"The server does not rest within {PATIENCE} seconds.")


def _fill(folder: Path, number: int) -> None:
    """The cache; and the core metadata that pages are made of, of each newest release."""
    long = _renamed(next(filled.projects(1, files=FILES)), LONG, serial=number + 1)
    broad = _broad(_renamed(long, BROAD, serial=number + 2))
    every = chain(filled.projects(number, files=1), (long, broad))
    asyncio.run(_write(folder, every))


async def _write(folder: Path, every: Iterator[Project]) -> None:
    async with sql.connect(filled.cache_url(folder), {}) as cache:
        while some := list(islice(every, 1000)):
            await cache.restore(some, filled.change("reindex"))
            await asyncio.to_thread(_write_metadata, folder / "packages", some)
        await cache.set_built()


def _renamed(project: Project, name: NormalizedName, *, serial: int) -> Project:
    """The same files under another name; what they are in the storage stays."""
    former = project.name.replace("-", "_")
    files = tuple(
        replace(file, project=name, filename=file.filename.replace(former, name))
        for file in project.files
    )
    return replace(project, name=name, display_name=name, serial=serial, files=files)


def _broad(project: Project) -> Project:
    """All files in one release: builds of a wheel."""
    files = tuple(
        replace(file, version="1.0", filename=f"{project.name}-1.0-{number}-py3-none-any.whl")
        for number, file in enumerate(project.files)
    )
    return replace(project, files=files)


def _write_metadata(packages: Path, projects: Iterable[Project]) -> None:
    for project in projects:
        release = newest(releases(project))
        described = legacy.describing(release.files) if release else None
        if described is None:
            raise SystemExit(f"{project.name} has no release")
        path = packages / blobs.metadata_key(described.blob)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_METADATA.format(name=project.name, version=described.version))


if __name__ == "__main__":
    main()
