"""Hot answers beside nginx, which serves the same bytes from disk: in turns, in one run.

One worker each, 32 connections that are kept, a project of 200 files, packed pages. Needs
Debian's ``nginx`` and ``wrk``.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, PASSWORD, Server, free_port, serve, temporary_folder

JSON = "Accept: application/vnd.pypi.simple.v1+json"
HTML = "Accept: text/html"
GZIP = "Accept-Encoding: gzip, deflate"
BASIC = "Authorization: Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
FILES = 200
QUIET = "1 h"
"""Between two reconciliations: nothing but our requests may ask the cache."""

_CONF = """\
{user}worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; etag on; gzip_static on; default_type application/octet-stream;
  keepalive_requests 100000000; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of answer: what we are asked, and the file that nginx serves instead."""

    name: str
    path: str
    file: str
    headers: tuple[str, ...]
    theirs: tuple[str, ...]
    goal: str


@dataclass(frozen=True, slots=True)
class Load:
    """What one turn gave: answers each second, seconds of processor for a thousand."""

    rate: float
    processor: float


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--connections", type=int, default=32, help="at a time (32)")
    arguments.add_argument("--seconds", type=int, default=2, help="of each turn (2)")
    arguments.add_argument("--turns", type=int, default=3, help="turns of each kind (3)")
    chosen = arguments.parse_args()
    with temporary_folder() as folder:
        filled.fill_cache(folder, projects=1, files=FILES)
        with (
            serve(folder, reconcile_interval=QUIET) as ours,
            _nginx(folder) as theirs,
        ):
            figures: list[Figure] = []
            for case in _cases(ours, folder / "www"):
                say(case.name)
                figures += _compare(case, ours, theirs, chosen)
            say("known beside anonymous")
            figures += _known(ours, chosen)
            figures.append(Figure("server, resident", ours.memory().resident / MIB, "MiB"))
    show("hot_page", figures, as_json=chosen.json)


def _cases(server: Server, www: Path) -> Iterator[Case]:
    """The cases; the files of nginx are what we answer."""
    page = f"/simple/{filled.name(0)}/"
    for label, accept in (("JSON", JSON), ("HTML", HTML)):
        file = f"{label}.page"
        for name, headers in ((file, (accept,)), (f"{file}.gz", (accept, GZIP))):
            (www / name).write_bytes(_ask(server.port, page, *headers)[0])
        every = (accept, GZIP)
        yield Case(f"{label} page", page, f"/{file}", every, (GZIP,), "0.75")
        yield Case(f"{label} page, Basic", page, f"/{file}", (*every, BASIC), (GZIP,), "0.68")
    tag = _ask(server.port, page, JSON, GZIP)[1]
    kept = _ask(_port(www), "/JSON.page", GZIP)[1]
    yield Case(
        "304",
        page,
        "/JSON.page",
        (JSON, GZIP, f"If-None-Match: {tag}"),
        (GZIP, f"If-None-Match: {kept}"),
        "0.75",
    )


def _port(www: Path) -> int:
    return int((www.parent / "nginx.port").read_text())


def _ask(port: int, path: str, *headers: str) -> tuple[bytes, str]:
    """The body as it is sent, and the entity tag."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=dict(line.split(": ", 1) for line in headers))
    answer = connection.getresponse()
    body, tag = answer.read(), answer.headers.get("ETag", "")
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path} on {port}: {answer.status}")
    return body, tag


@contextmanager
def _nginx(folder: Path) -> Iterator[Server]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None or shutil.which("wrk") is None:
        raise SystemExit("This needs nginx and wrk (Debian: apt-get install nginx wrk).")
    (folder / "www").mkdir()
    port = free_port()
    (folder / "nginx.port").write_text(str(port))
    conf = folder / "nginx.conf"
    user = "" if os.geteuid() else "user root; "
    conf.write_text(_CONF.format(folder=folder, port=port, user=user))
    process = subprocess.Popen([program, "-c", str(conf)], cwd=folder)
    try:
        yield Server(process.pid, port, folder, 0.0)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _compare(case: Case, ours: Server, theirs: Server, chosen: argparse.Namespace) -> list[Figure]:
    turns: list[tuple[Load, Load]] = []
    for _ in range(chosen.turns):
        one = _load(ours, case.path, case.headers, chosen.connections, chosen.seconds)
        other = _load(theirs, case.file, case.theirs, chosen.connections, chosen.seconds)
        turns.append((one, other))
    return [
        Figure(f"{case.name}, ours", median(a.rate for a, _ in turns), "/s"),
        Figure(f"{case.name}, nginx", median(b.rate for _, b in turns), "/s"),
        Figure(
            f"{case.name}, rate", median(a.rate / b.rate for a, b in turns), "of nginx", case.goal
        ),
        Figure(f"{case.name}, ours", median(a.processor for a, _ in turns), "CPU s per 1,000"),
        Figure(
            f"{case.name}, processor",
            median(a.processor / b.processor for a, b in turns),
            "of nginx",
            "1.5",
        ),
    ]


def _known(ours: Server, chosen: argparse.Namespace) -> list[Figure]:
    """The same page for somebody with a password and for the anonymous, in turns."""
    page, every = f"/simple/{filled.name(0)}/", (JSON, GZIP)
    turns: list[tuple[Load, Load]] = []
    for _ in range(chosen.turns):
        known = _load(ours, page, (*every, BASIC), chosen.connections, chosen.seconds)
        anonymous = _load(ours, page, every, chosen.connections, chosen.seconds)
        turns.append((known, anonymous))
    return [
        Figure(
            "JSON page, Basic, rate",
            median(a.rate / b.rate for a, b in turns),
            "of anonymous",
            "0.9",
        ),
        Figure(
            "JSON page, Basic, processor",
            median(a.processor / b.processor for a, b in turns),
            "of anonymous",
            "1.1",
        ),
    ]


def _load(
    server: Server, path: str, headers: tuple[str, ...], connections: int, seconds: int
) -> Load:
    before = server.cpu()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    for header in headers:
        command += ["-H", header]
    said = subprocess.check_output([*command, f"http://127.0.0.1:{server.port}{path}"], text=True)
    spent = server.cpu() - before
    found = re.search(r"(\d+) requests in ", said)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None or rate is None or ("Non-2xx" in said and "If-None" not in str(headers)):
        raise SystemExit(said)
    return Load(float(rate[1]), spent / int(found[1]) * 1000)


if __name__ == "__main__":
    main()
