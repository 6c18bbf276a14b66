"""From starting ``pypicloud serve`` to its first answer; memory of a service that idles.

With ``--imports`` also what importing costs, by distribution, as ``-X importtime`` counts it.
Compared with starting the interpreter alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, environment, serve, temporary_folder

STATEMENT = (
    "import app.cli.main, app.main, app.protocol, app.cache.sql, app.access.sql, app.storage.file"
)
SHOWN = 12
QUIET = 1.5
"""Seconds until a service idles."""


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--starts", type=int, default=7, help="how many (7)")
    arguments.add_argument("--imports", action="store_true", help="show what imports cost")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        say("the first start, on empty folders")
        with serve(folder, ready="/health/live") as server:
            first = server.started
        say("further starts")
        starts: list[float] = []
        for _ in range(chosen.starts):
            with serve(folder, ready="/health/live", admin_password="") as server:
                starts.append(server.started)
                used = server.cpu()
        with serve(folder, admin_password="") as server:
            time.sleep(QUIET)
            own, children = server.memory(), server.children()
        alone = [_seconds(folder, "pass") for _ in range(chosen.starts)]
        imports = [_seconds(folder, STATEMENT) for _ in range(chosen.starts)]
        figures = [
            Figure("start to first answer, median", median(starts), "s", "about 1"),
            Figure("start to first answer, best", min(starts), "s"),
            Figure("first start of all, admin made", first, "s"),
            Figure("processor until then", used, "s"),
            Figure("of it, importing, median", median(imports), "s"),
            Figure("the interpreter alone, median", median(alone), "s"),
            Figure("idle server, resident", own.resident / MIB, "MiB"),
            Figure("idle children, resident", sum(c.resident for c in children) / MIB, "MiB"),
            Figure(
                "idle, all, resident",
                (own.resident + sum(c.resident for c in children)) / MIB,
                "MiB",
                "below 100",
            ),
            Figure(
                "idle, all, shared pages shared out",
                (own.proportional + sum(c.proportional for c in children)) / MIB,
                "MiB",
                "below 100",
            ),
        ]
        if chosen.imports:
            figures += _imports(folder)
    show("start", figures, as_json=chosen.json)


def _seconds(folder: Path, statement: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", statement], cwd=folder, env=environment(folder), check=True
    )
    return time.perf_counter() - began


def _imports(folder: Path) -> list[Figure]:
    """Milliseconds of the modules of each distribution, without what they import in turn."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", STATEMENT],
        cwd=folder,
        env=environment(folder),
        check=True,
        capture_output=True,
        text=True,
    )
    own: Counter[str] = Counter()
    for line in run.stderr.splitlines():
        self_time, _, rest = line.removeprefix("import time:").partition("|")
        if self_time.strip().isdigit():
            name = rest.rpartition("|")[2].strip()
            own[_room(name)] += int(self_time)
    total = sum(own.values())
    figures = [Figure("imports, all", total / 1000, "ms")]
    for name, spent in own.most_common(SHOWN):
        figures.append(Figure(f"imports, {name}", spent / 1000, "ms"))
    return figures


def _room(name: str) -> str:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top.startswith("_"):
        return "standard library"
    return top


if __name__ == "__main__":
    main()
