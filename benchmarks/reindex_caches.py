"""``pypicloud reindex`` of a folder with 20,000 files, into each kind of cache: empty, and full.

The processor's time and the memory are those of the command alone; a database's own are not
counted. Ratios are to SQLite's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks import caches, filled
from benchmarks.reindex import PER_PROJECT, run
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, temporary_folder


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=20_000)
    arguments.add_argument("kinds", nargs="*", help=f"of {caches.SHARED}; all")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        say(f"filling a folder with {chosen.files} files")
        projects = chosen.files // PER_PROJECT
        files = filled.write_journal(folder / "packages", projects=projects, files=PER_PROJECT)
        kinds = caches.chosen(chosen.kinds, caches.SHARED)
        figures = asyncio.run(_all(folder, kinds, files))
    show("reindex_caches", figures, as_json=chosen.json)


async def _all(folder: Path, kinds: Sequence[str], files: int) -> list[Figure]:
    every: dict[str, list[Figure]] = {}
    async with caches.servers():
        for kind in kinds:
            async with caches.url(kind) as url:
                every[kind] = []
                for label in ("empty cache", "full cache"):
                    say(f"{kind}, {label}")
                    done = run(folder, "reindex", "--json", **caches.settings(kind, url))
                    if done.files != files:
                        raise SystemExit(f"{done.files} of {files} files were indexed.")
                    every[kind] += [
                        Figure(label, files / done.seconds, "files/s"),
                        Figure(f"{label}, processor", done.cpu, "s"),
                        Figure(f"{label}, peak", done.peak / MIB, "MiB"),
                    ]
    return caches.compared(every)


if __name__ == "__main__":
    main()
