"""pip and uv install a tree whose projects are half ours, half an upstream's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e import test_pdm, test_poetry, test_uv
from tests.e2e.projects import Release
from tests.e2e.sandbox import Finished, Sandbox, Venv
from tests.e2e.server import Server, serve
from tests.factories import make_wheel
from tests.servers import upstream as upstreams
from tests.servers.upstream import Sent, Upstream

pytestmark = pytest.mark.e2e

Locking = Callable[[Sandbox, Server], None]
SIZE = 50 if os.environ.get("SOAK") else 12
MODES = ("redirect", *(("mirror",) if SIZE == 50 else ()), "cache")
NAMES = [f"acme-part{n}" if n % 2 else f"world-part{n}" for n in range(SIZE)]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Half of the tree, and strangers' newer files for the other half; no core metadata."""
    with upstreams.running() as found:
        for name in NAMES:
            if name.startswith("world"):
                found.has(name, made=Release(name=name).wheel())
            else:
                found.has(name, made=Release(name=name, version="99.0").wheel())
        new = datetime.now(UTC).isoformat()
        found.has(NAMES[0], made=Release(name=NAMES[0], version="2.0").wheel(), listed=new)
        yield found


def locked_by_uv(sandbox: Sandbox, index: Server) -> None:
    """Lock and install the tree with uv."""
    folder = test_uv.consumer(sandbox, index, "acme-app", more="default = true")
    sandbox.must("uv", "lock", cwd=folder)
    sandbox.must("uv", "sync", "--locked", cwd=folder)


def locked_by_poetry(sandbox: Sandbox, index: Server) -> None:
    """Lock and install the tree with poetry."""
    folder = test_poetry.consumer(sandbox, index.simple, "acme-app")
    sandbox.must("poetry", "lock", cwd=folder)
    sandbox.must("poetry", "install", cwd=folder)


def locked_by_pdm(sandbox: Sandbox, index: Server) -> None:
    """Lock and install the tree with pdm."""
    folder = test_pdm.consumer(sandbox, index.simple, "acme-app")
    sandbox.must("pdm", "lock", cwd=folder)
    sandbox.must("pdm", "sync", cwd=folder)


@pytest.fixture(scope="module", params=MODES)
def index(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream: Upstream,
) -> Iterator[Server]:
    """The other half, behind each policy, with a minimum age."""
    variables = {
        "PYPICLOUD_FALLBACK": request.param,
        "PYPICLOUD_UPSTREAM": upstream.simple,
        "PYPICLOUD_DEFAULT_FETCH": "everyone",
        "PYPICLOUD_RULES__MINIMUM_AGE": "3 d",
    }
    folder: Path = tmp_path_factory.mktemp("upstreams")
    with serve(folder, read="everyone", variables=variables) as server:
        ours = [Release(name=name) for name in NAMES if name.startswith("acme")]
        server.publish(*ours, Release(name="acme-app", requires=NAMES))
        yield server


def pip(sandbox: Sandbox, index: Server, venv: Venv) -> Finished:
    """Install the tree with pip."""
    more = ("--no-cache-dir", "--no-compile")
    python = ("--python", venv.python)
    return sandbox.run("pip", *python, "install", *more, "--index-url", index.simple, "acme-app")


def uv(sandbox: Sandbox, index: Server, venv: Venv) -> Finished:
    """Install the tree with uv."""
    more = ("--no-cache", "--default-index", index.simple)
    return sandbox.run("uv", "pip", "install", "--python", venv.python, *more, "acme-app")


def test_a_tree_half_private_and_half_upstream_is_installed(
    sandbox: Sandbox, index: Server, upstream: Upstream
) -> None:
    """Cold with uv, warm with pip, and where files are kept with the upstream stopped.

    Every version is 1.0: strangers' newer files under our names are not seen, and what is too
    new is withheld. No name of ours is asked of the upstream.
    """
    upstream.asked.clear()
    expected = dict.fromkeys([*NAMES, "acme-app"], "1.0")
    for install in (uv, pip):
        venv = sandbox.venv()
        finished = install(sandbox, index, venv)
        assert finished.status == 0, str(finished)
        assert venv.installed() == expected
    if (index.folder / "packages" / "upstream" / "kept").exists():
        upstream.fault = lambda asked, sent: Sent(500)
        try:
            venv = sandbox.venv()
            finished = uv(sandbox, index, venv)
        finally:
            upstream.fault = None
        assert finished.status == 0, str(finished)
        assert venv.installed() == expected
    assert [path for path in upstream.paths() if "acme" in path] == []


@pytest.mark.parametrize("index", ["cache"], indirect=True)
@pytest.mark.parametrize("stopped", [False, True], ids=["there", "stopped"])
@pytest.mark.parametrize("lock", [locked_by_uv, locked_by_poetry, locked_by_pdm])
def test_lock_files_are_made_and_installed_from(
    sandbox: Sandbox, index: Server, upstream: Upstream, lock: Locking, stopped: bool
) -> None:
    """Of a tree half private and half upstream, also with the upstream stopped."""
    upstream.asked.clear()
    if stopped:
        kept = uv(sandbox, index, sandbox.venv())
        assert kept.status == 0, str(kept)
        upstream.fault = lambda asked, sent: Sent(500)
    try:
        lock(sandbox, index)
    finally:
        upstream.fault = None
    installed = Venv(sandbox.folder / "consumer" / ".venv").installed()
    assert installed == dict.fromkeys([*NAMES, "acme-app"], "1.0")
    assert [path for path in upstream.paths() if "acme" in path] == []


@pytest.mark.parametrize("index", ["cache"], indirect=True)
def test_uv_lock_against_an_upstream_without_core_metadata_fetches_no_wheel(
    sandbox: Sandbox, index: Server, upstream: Upstream
) -> None:
    """A few kilobytes of each; the wheels are of megabytes."""
    names = [f"heavy-part{n}" for n in range(6)]
    for number, name in enumerate(names):
        needs = [("Requires-Dist", names[number + 1])] if number < 5 else []
        big = {"big.bin": os.urandom(2**20)}
        upstream.has(name, made=make_wheel(name, "1.0", files=big, headers=needs))
    upstream.asked.clear()
    folder = test_uv.consumer(sandbox, index, names[0], more="default = true")
    sandbox.must("uv", "lock", cwd=folder)
    assert all(name in (folder / "uv.lock").read_text() for name in names)
    files = [one for one in upstream.asked if "/files/" in one.path]
    assert len(files) >= len(names)
    assert all("range" in one.headers for one in files)
