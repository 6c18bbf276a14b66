"""How long the inspection of an archive takes in a warm child.

python -m benchmarks.inspection
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from app.models import Kind
from app.upload.inspection import Inspectors, inspectors
from benchmarks.report import Figure, parser, show
from tests.factories import Made, make_sdist, make_wheel

ROUNDS = 300
AT_ONCE = 8
NOISE = 128


async def measure(pool: Inspectors, path: Path, made: Made, rounds: int) -> float:
    """Milliseconds for one inspection, one after another."""
    await asyncio.to_thread(path.write_bytes, made.content)
    kind = Kind.WHEEL if made.filename.endswith(".whl") else Kind.SDIST
    start = time.perf_counter()
    for _ in range(rounds):
        await pool.inspect(path, filename=made.filename, kind=kind, profile="strict")
    return (time.perf_counter() - start) / rounds * 1000


async def throughput(pool: Inspectors, path: Path, made: Made) -> float:
    """Inspections a second, several waiting at any time."""

    async def client() -> None:
        for _ in range(ROUNDS // AT_ONCE):
            await pool.inspect(path, filename=made.filename, kind=Kind.WHEEL, profile="strict")

    await asyncio.to_thread(path.write_bytes, made.content)
    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return ROUNDS // AT_ONCE * AT_ONCE / (time.perf_counter() - start)


def resident(pids: frozenset[int]) -> float:
    """The most memory that one of the processes has, in MiB."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def run(path: Path) -> list[Figure]:
    """All figures."""
    tiny = make_wheel()
    many = make_wheel(files={f"demo/m{number}.py": b"x" * 100 for number in range(10_000)})
    noise = make_wheel(files={"demo.bin": os.urandom(NOISE << 20)})
    start = time.perf_counter()
    async with inspectors(count=2) as pool:
        ready = (time.perf_counter() - start) * 1000
        return [
            Figure("start of two children", ready, "ms"),
            Figure("memory of a fresh child", resident(pool.pids), "MiB", "15 MiB or so"),
            Figure("tiny wheel", await measure(pool, path, tiny, ROUNDS), "ms", "a few ms"),
            Figure("tiny sdist", await measure(pool, path, make_sdist(), ROUNDS), "ms", "a few ms"),
            Figure("tiny wheels, 8 at once", await throughput(pool, path, tiny), "files/s"),
            Figure("wheel of 10,000 members", await measure(pool, path, many, 3), "ms"),
            Figure(f"wheel of {NOISE} MiB", await measure(pool, path, noise, 3), "ms"),
            Figure("memory of a child then", resident(pool.pids), "MiB"),
        ]


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(run(Path(directory) / "spooled"))
    show("inspection of archives", figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
