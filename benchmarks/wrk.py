"""Load from wrk: what a server answers each second, and what that costs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import Server


@dataclass(frozen=True, slots=True)
class Load:
    """What one turn gave: answers each second, seconds of processor for a thousand."""

    rate: float
    processor: float


def load(
    server: Server,
    path: str,
    headers: Sequence[str] = (),
    *,
    connections: int,
    seconds: float,
    script: Path | None = None,
    refusals: bool = False,
) -> Load:
    """Ask on that many connections, each answer at once followed by the next question.

    ``script`` is one of wrk's, which may ask for other paths. Answers other than 2xx and 3xx
    end it, unless ``refusals`` are what is measured.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("This needs wrk (Debian: apt-get install wrk).")
    before = server.cpu()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    for header in headers:
        command += ["-H", header]
    if script is not None:
        command += ["-s", str(script)]
    said = subprocess.check_output([*command, f"http://127.0.0.1:{server.port}{path}"], text=True)
    spent = server.cpu() - before
    found = re.search(r"(\d+) requests in ", said)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None or rate is None or ("Non-2xx" in said and not refusals):
        raise SystemExit(said)
    return Load(float(rate[1]), spent / int(found[1]) * 1000)
