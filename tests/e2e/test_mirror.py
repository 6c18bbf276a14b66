"""bandersnatch copies the index by its serials and its JSON API, and the copy installs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.recording import recorded
from tests.e2e.sandbox import CLIENTS, Finished, Sandbox
from tests.e2e.server import Server, serve

pytestmark = pytest.mark.e2e

CONFIGURATION = """\
[mirror]
directory = {directory}
master = {master}
allow-non-https = true
json = true
stop-on-error = true
timeout = 20
workers = 2
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An index below ``/packages``: bandersnatch takes no file whose path begins otherwise."""
    with serve(tmp_path_factory.mktemp("master"), read="everyone", path="/packages") as server:
        yield server


def mirror(sandbox: Sandbox, server: Server) -> Finished:
    """Bring ``mirror`` in the sandbox up to date; its proxy settings know no exceptions."""
    if not (CLIENTS / "bandersnatch").exists() and not os.environ.get("CI"):
        pytest.skip("bandersnatch is not installed: it needs Python 3.12 or newer")
    configuration = sandbox.folder / "bandersnatch.conf"
    configuration.write_text(
        CONFIGURATION.format(directory=sandbox.folder / "mirror", master=server.url)
    )
    return sandbox.must(
        "bandersnatch",
        *("-c", configuration, "mirror"),
        cwd=sandbox.folder,
        HTTP_PROXY="",
        HTTPS_PROXY="",
        ALL_PROXY="",
    )


def mirrored(sandbox: Sandbox) -> dict[str, str]:
    """The sha256 of every distribution in the mirror."""
    files = (sandbox.folder / "mirror" / "web" / "packages").rglob("*-1*")
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.suffix in {".whl", ".gz"}
    }


def test_ser_1_mirror(sandbox: Sandbox, index: Server) -> None:
    """A first run copies all; a second asks only for what changed; pip installs from the copy."""
    leaf, tree = Release(name="Mirror.Leaf"), Release(name="mirror-tree", requires=["mirror-leaf"])
    index.publish(leaf, tree)
    index.publish(tree, sdist=True)
    mirror(sandbox, index)
    assert mirrored(sandbox) == {
        made.filename: made.sha256 for made in (leaf.wheel(), tree.wheel(), tree.sdist())
    }
    newer = Release(name="mirror-tree", version="1.1", requires=["mirror-leaf"])
    index.publish(newer)
    with recorded(index) as recording:
        mirror(sandbox, recording.server)
    assert recording.requests.count("GET /packages/pypi/mirror-tree/json") == 1
    assert not [one for one in recording.requests if "/mirror-leaf/" in one], recording.requests
    assert mirrored(sandbox)[newer.wheel().filename] == newer.wheel().sha256
    web: Path = sandbox.folder / "mirror" / "web"
    venv = sandbox.venv()
    installed = sandbox.must(
        "pip",
        *("--python", venv.python, "install", "mirror-tree"),
        *("--index-url", f"file://{web / 'simple'}"),
        cwd=sandbox.folder,
    )
    assert venv.installed() == {"mirror-tree": "1.1", "mirror-leaf": "1.0"}, str(installed)


def test_below_a_path(sandbox: Sandbox, index: Server) -> None:
    """An index that does not stand at the root of its host serves pip and uv just as well."""
    index.publish(Release(name="path-leaf"), Release(name="path-tree", requires=["path-leaf"]))
    for client in ("pip", "uv"):
        venv = sandbox.venv(sandbox.folder / client)
        commands: dict[str, tuple[str | Path, ...]] = {
            "pip": ("--python", venv.python, "install", "--index-url", index.simple),
            "uv": ("pip", "install", "--python", venv.python, "--default-index", index.simple),
        }
        sandbox.must(client, *commands[client], "path-tree")
        assert venv.installed() == {"path-tree": "1.0", "path-leaf": "1.0"}
