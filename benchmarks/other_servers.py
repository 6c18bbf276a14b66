"""The same application under other servers: plain uvicorn and granian beside ``pypicloud serve``.

One worker each, a hot page of 200 files over 32 connections that are kept, and the same page by
way of its door. Needs Debian's ``wrk``; granian is installed beside the other indexes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks import filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.rivals import FOLDER
from benchmarks.server import PYPICLOUD, ROOT, serve, temporary_folder
from benchmarks.wrk import Load, load

JSON = "Accept: application/vnd.pypi.simple.v1+json"
GZIP = "Accept-Encoding: gzip, deflate"
DOOR = "Cookie: nothing=here"
QUIET = "1 h"
GRANIAN = "2.8.9"
_PORT = '"$PYPICLOUD_PORT"'
"""The server is told by the variable, these programs by an argument."""


def _shell(arguments: str) -> Sequence[str]:
    return ("/bin/sh", "-c", f"exec {sys.executable} -m {arguments} --port {_PORT}")


SERVERS: Mapping[str, Sequence[str]] = {
    "pypicloud serve": (PYPICLOUD, "serve"),
    "uvicorn": _shell(
        "uvicorn --factory app.main:create_app --http httptools --ws none "
        "--no-proxy-headers --no-server-header --no-access-log --log-level warning"
    ),
    "granian": _shell(
        "granian --interface asgi --factory app.main:create_app --no-ws --loop uvloop "
        "--no-access-log --log-level warning"
    ),
}


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=int, default=4, help="of each turn (4)")
    chosen = arguments.parse_args()
    _install()
    found: dict[str, list[Load]] = {}
    with temporary_folder() as folder:
        filled.fill_cache(folder, projects=1, files=200)
        path = f"/simple/{filled.name(0)}/"
        beside = os.pathsep.join([str(ROOT), str(FOLDER / "granian")])
        for name, command in SERVERS.items():
            say(name)
            with serve(
                folder,
                command=command,
                variables={"PYTHONPATH": beside},
                reconcile_interval=QUIET,
            ) as server:
                for headers in ((JSON, GZIP), (JSON, GZIP, DOOR)):
                    load(server, path, headers, connections=32, seconds=1)
                    found.setdefault(name, []).append(
                        load(server, path, headers, connections=32, seconds=chosen.seconds)
                    )
    show("other_servers", _figures(found), as_json=chosen.json)


def _install() -> None:
    target = FOLDER / "granian"
    if not target.exists():
        uv = str(ROOT / ".venv-clients/uv/bin/uv")
        command = [uv, "pip", "install", "-q", "-p", sys.executable, "--target", str(target)]
        subprocess.run([*command, f"granian=={GRANIAN}"], check=True)


def _figures(found: Mapping[str, Sequence[Load]]) -> list[Figure]:
    figures: list[Figure] = []
    for place, kind in enumerate(("hot page", "page by its door")):
        ours = found["pypicloud serve"][place]
        for name, loads in found.items():
            one = loads[place]
            figures += [
                Figure(f"{kind}, {name}", one.rate, "/s"),
                Figure(f"{kind}, {name}", one.processor, "CPU s per 1,000"),
                Figure(f"{kind}, {name}", one.rate / ours.rate, "of pypicloud serve"),
            ]
    return figures


if __name__ == "__main__":
    main()
