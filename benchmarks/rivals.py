"""Other indexes, each started as its own documentation says, with the same wheels in it.

``python -m benchmarks.rivals`` installs them, each in ``.venv-peers/NAME``.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import ROOT, Server, free_port, launched

FOLDER = ROOT / ".venv-peers"
PINNED = {
    "pypiserver": "2.4.2",
    "devpi-server": "6.20.3",
    "simple-repository-server": "0.10.0",
    "proxpi": "1.3.1",
    "peryx": "2026.1010.0",
}
BESIDE = {"pypiserver": ("gevent==25.9.1",)}
"""What one needs for more than one connection at a time."""
SECRET = "benchmarks only"
PROJECT = "demo"
TIMEOUT = 600


@dataclass(frozen=True, slots=True)
class Site:
    """Where a rival runs: its folder, the wheels, its port, and an index that it may mirror."""

    folder: Path
    wheels: Path
    port: int
    origin: str


@dataclass(frozen=True, slots=True)
class Rival:
    """How to start one, and its URLs: ``{0}`` stands for a project.

    ``upload`` is where ``who`` uploads, if it takes uploads here; ``fill``: it begins empty,
    and gets the wheels that way. ``packs`` and ``speaks`` say what it can.
    """

    name: str
    distribution: str
    command: Callable[[Site], Sequence[str]]
    page: str
    ready: str = "/"
    prepare: Callable[[Site], None] = lambda site: None
    settle: Callable[[Site], None] = lambda site: None
    variables: Callable[[Site], dict[str, str]] = lambda site: {}
    upload: str = ""
    who: str = ""
    fill: bool = False


def binary(distribution: str, name: str) -> str:
    """A program of one of them."""
    return str(FOLDER / distribution / "bin" / name)


def install() -> None:
    """Make what is not there yet; each has dependencies of its own."""
    uv = str(ROOT / ".venv-clients/uv/bin/uv")
    for name, version in PINNED.items():
        where = FOLDER / name
        mark = where / f"ready-{version}"
        if mark.exists():
            continue
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, where], check=True)
        wanted = [f"{name}=={version}", *BESIDE.get(name, ())]
        python = str(where / "bin/python")
        subprocess.run([uv, "pip", "install", "-q", "-p", python, *wanted], check=True)
        mark.touch()


@contextmanager
def running(rival: Rival, site: Site) -> Iterator[Server]:
    """The rival, while the block runs."""
    site.folder.mkdir(exist_ok=True)
    rival.prepare(site)
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(site.folder), **rival.variables(site)}
    command = list(rival.command(site))
    with launched(
        command, site.folder, port=site.port, ready=rival.ready, variables=variables
    ) as server:
        rival.settle(site)
        yield server


def site(folder: Path, wheels: Path, origin: str) -> Site:
    """A place for one."""
    return Site(folder, wheels, free_port(), origin)


def _devpi_init(site: Site) -> None:
    data = str(site.folder / "data")
    command = [binary("devpi-server", "devpi-init"), "--serverdir", data, "--no-root-pypi"]
    subprocess.run([*command, "--root-passwd", SECRET], check=True, stdout=subprocess.DEVNULL)


def _devpi_index(site: Site) -> None:
    base = f"http://127.0.0.1:{site.port}"
    said = _sent(f"{base}/+login", "POST", {"user": "root", "password": SECRET}, {})
    token = said["result"]["password"]
    encoded = base64.b64encode(f"root:{token}".encode()).decode()
    _sent(f"{base}/root/dev", "PUT", {"type": "stage"}, {"X-Devpi-Auth": encoded})


def _sent(
    url: str, method: str, value: object, headers: dict[str, str]
) -> dict[str, dict[str, str]]:
    request = urllib.request.Request(  # a loopback URL of ours
        url,
        data=json.dumps(value).encode(),
        method=method,
        headers={"Content-Type": "application/json", "Accept": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        said: dict[str, dict[str, str]] = json.load(answer)
        return said


_PERYX = """\
[[index]]
name = "hosted"
route = "hosted"
hosted = true
anonymous_read = true
[[index.access_token]]
name = "bench"
secret = "{secret}"
resources = ["*"]
actions = ["read", "write"]

[[index]]
name = "cached"
route = "cached"
anonymous_read = true
upstream = [{{name = "origin", url = "{origin}"}}]
"""


def _peryx_prepare(site: Site) -> None:
    conf = site.folder / "peryx.toml"
    conf.write_text(_PERYX.format(secret=SECRET, origin=site.origin))
    command = [binary("peryx", "peryx"), "import-dir", "-c", str(conf)]
    command += ["--data-dir", str(site.folder / "data"), "hosted", str(site.wheels)]
    with (site.folder / "import.log").open("wb") as log:
        subprocess.run(command, check=True, timeout=TIMEOUT, stdout=log, stderr=log)


def _peryx(site: Site) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(site.port), "--log-level", "error"]
    data = ["--data-dir", str(site.folder / "data"), "-c", str(site.folder / "peryx.toml")]
    return [binary("peryx", "peryx"), "serve", *where, *data]


_HOSTED = Rival(
    "peryx, hosted",
    "peryx",
    _peryx,
    "/hosted/simple/{0}/",
    ready="/hosted/simple/",
    prepare=_peryx_prepare,
    upload="/hosted/",
    who=f"__token__:{SECRET}",
)
_CACHED = Rival(
    "peryx, cached",
    "peryx",
    _peryx,
    "/cached/simple/{0}/",
    ready="/hosted/simple/",
    prepare=_peryx_prepare,
)
RIVALS = (
    _HOSTED,
    _CACHED,
    Rival(
        "simple-repository-server",
        "simple-repository-server",
        lambda site: [
            binary("simple-repository-server", "simple-repository-server"),
            *("--host", "127.0.0.1", "--port", str(site.port), str(site.wheels.parent)),
        ],
        "/simple/{0}/",
        ready="/simple/",
    ),
    Rival(
        "pypiserver",
        "pypiserver",
        lambda site: [
            binary("pypiserver", "pypi-server"),
            *("run", "-i", "127.0.0.1", "-p", str(site.port), "--disable-fallback"),
            *("-P", ".", "-a", ".", "--server", "gevent", str(site.wheels)),
        ],
        "/simple/{0}/",
        upload="/",
        who="anybody:anything",
    ),
    Rival(
        "proxpi",
        "proxpi",
        lambda site: [
            binary("proxpi", "flask"),
            *("--app", "proxpi.server", "run", "--host", "127.0.0.1", "--port", str(site.port)),
        ],
        "/index/{0}/",
        variables=lambda site: {"PROXPI_INDEX_URL": site.origin},
    ),
    Rival(
        "devpi",
        "devpi-server",
        lambda site: [
            binary("devpi-server", "devpi-server"),
            *("--serverdir", str(site.folder / "data"), "--host", "127.0.0.1"),
            *("--port", str(site.port)),
        ],
        "/root/dev/+simple/{0}/",
        ready="/+api",
        prepare=_devpi_init,
        settle=_devpi_index,
        upload="/root/dev/",
        who=f"root:{SECRET}",
        fill=True,
    ),
)


if __name__ == "__main__":
    install()
