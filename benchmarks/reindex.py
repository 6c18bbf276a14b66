"""``pypicloud reindex`` of a folder with 20,000 files: into an empty cache, and a full one.

Compared with listing and reading the same journal in one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, PYPICLOUD, environment, temporary_folder

PER_PROJECT = 10


@dataclass(frozen=True, slots=True)
class Run:
    """One reindex: seconds by the clock and of processor, the process's highest memory."""

    seconds: float
    cpu: float
    peak: int
    files: int
    repaired: int


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=20_000)
    arguments.add_argument("--per-project", type=int, default=PER_PROJECT, help="files (10)")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        packages = folder / "packages"
        say(f"filling a folder with {chosen.files} files")
        projects = chosen.files // chosen.per_project
        files = filled.write_journal(packages, projects=projects, files=chosen.per_project)
        say("reading it alone")
        alone = _read_alone(packages / "journal")
        idle = run(folder, "--version")
        figures = [Figure("projects", projects, ""), Figure("files", files, "")]
        for label in ("empty cache", "full cache"):
            say(label)
            done = run(folder, "reindex", "--json")
            if done.files != files:
                raise SystemExit(f"{done.files} of {files} files were indexed.")
            figures += [
                Figure(f"{label}", files / done.seconds, "files/s", "above 3,000"),
                Figure(f"{label}, in all", done.seconds, "s"),
                Figure(f"{label}, processor", done.cpu, "s"),
                Figure(f"{label}, peak", done.peak / MIB, "MiB"),
                Figure(f"{label}, projects repaired", done.repaired, ""),
            ]
    figures.append(Figure("of each, starting the command", idle.seconds, "s"))
    figures.append(Figure("listing and reading alone", files / alone, "files/s"))
    show("reindex", figures, as_json=chosen.json)


def run(folder: Path, *arguments: str, **settings: str) -> Run:
    """One command on the settings of ``server.environment``, to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [PYPICLOUD, *arguments],
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    printed = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pypicloud {' '.join(arguments)} ended with {process.returncode}")
    said = json.loads(printed) if printed.startswith("{") else {"files": 0, "repaired": 0}
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds, cpu, usage.ru_maxrss * 1024, said["files"], said["repaired"])


def _read_alone(journal: Path) -> float:
    began = time.perf_counter()
    folders = [str(journal)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    descriptor = os.open(entry.path, os.O_RDONLY)
                    os.read(descriptor, 1 << 20)
                    os.close(descriptor)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
