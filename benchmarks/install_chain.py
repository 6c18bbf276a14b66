"""``uv pip install`` of a chain of projects into an empty folder, with an empty cache.

In turns from the service and from nginx that serves the same pages, core metadata and wheels as
files. Needs Debian's ``nginx``.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import client
from benchmarks.nginx import nginx
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import ROOT, Server, serve, temporary_folder
from tests.factories import Made, form, make_wheel

UV = ROOT / ".venv-clients/uv/bin/uv"
JSON = "Accept: application/vnd.pypi.simple.v1+json"


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--projects", type=int, default=50, help="how long it is (50)")
    arguments.add_argument("--turns", type=int, default=7, help="installations of each (7)")
    chosen = arguments.parse_args()
    chain = [_wheel(number, chosen.projects) for number in range(chosen.projects)]
    with temporary_folder() as folder, serve(folder, reconcile_interval="1 h") as ours:
        requests = [_request(ours.port, *each) for each in chain]
        uvloop.run(client.send(ours.port, iter(requests), connections=4))
        _write(folder / "www", ours.port, chain)
        with nginx(folder) as static:
            turns: list[tuple[float, float]] = []
            for turn in range(chosen.turns + 1):
                say(f"turn {turn}")
                turns.append((_install(ours, folder), _install(static, folder)))
    turns = turns[1:]  # pages are made, and files read, once
    show(
        "install_chain",
        [
            Figure("from the service", median(a for a, _ in turns), "s"),
            Figure("from nginx", median(b for _, b in turns), "s"),
            Figure("time", median(a / b for a, b in turns), "of nginx", "1.15 at most"),
        ],
        as_json=chosen.json,
    )


def _wheel(number: int, projects: int) -> tuple[str, Made]:
    name = f"chain-{number:03d}"
    needs = [("Requires-Dist", f"chain-{number + 1:03d}")] if number + 1 < projects else []
    return name, make_wheel(name, "1.0", headers=needs)


def _request(port: int, name: str, made: Made) -> bytes:
    head = client.form_head(form(made, name, "1.0"), made.filename)
    body = head + made.content + client.FORM_TAIL
    return client.post_head(port, len(body)) + body


def _write(www: Path, port: int, chain: Sequence[tuple[str, Made]]) -> None:
    """What nginx serves: the same bytes."""
    for name, made in chain:
        page = www / "simple" / name
        files = www / "files" / name
        page.mkdir(parents=True)
        files.mkdir(parents=True)
        (page / "page").write_bytes(_body(port, f"/simple/{name}/"))
        for filename in (made.filename, f"{made.filename}.metadata"):
            (files / filename).write_bytes(_body(port, f"/files/{name}/{filename}"))


def _body(port: int, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=dict([JSON.split(": ")]))
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return body


def _install(server: Server, folder: Path) -> float:
    target, cache = folder / "target", folder / "uv-cache"
    index = f"http://127.0.0.1:{server.port}/simple/"
    command = [UV, "pip", "install", "--quiet", "--python", sys.executable]
    command += ["--target", target, "--cache-dir", cache, "--index-url", index, "chain-000"]
    began = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True)
    seconds = time.perf_counter() - began
    shutil.rmtree(target)
    shutil.rmtree(cache)
    return seconds


if __name__ == "__main__":
    main()
