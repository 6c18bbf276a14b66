"""What ``pypicloud serve`` prints for newcomers is true when pasted."""

from __future__ import annotations

import shlex

import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import Sandbox
from tests.e2e.server import ADMIN, Server

pytestmark = pytest.mark.e2e


def line(server: Server, client: str) -> list[str]:
    """The words of the one line that begins with ``client``."""
    lines = (words.split("#")[0].strip() for words in server.log.splitlines())
    (found,) = (words for words in lines if words.startswith(f"{client} "))
    return shlex.split(found)[1:]


def test_banner_lines(sandbox: Sandbox, open_index: Server) -> None:
    """The lines for twine, pip and uv upload a project and install it."""
    release = Release(name="pasted")
    folder = release.write(sandbox.folder / "project")
    files = [str(path) for path in (folder / "dist").iterdir()]
    words = line(open_index, "twine")
    assert words.pop() == "dist/*"
    sandbox.must("twine", *words, *files, cwd=folder, TWINE_PASSWORD=ADMIN.password)
    for client in ("pip", "uv"):
        venv = sandbox.venv()
        words = ["pasted" if word == "NAME" else word for word in line(open_index, client)]
        assert "pasted" in words
        before = ["--python", str(venv.python)] if client == "pip" else []
        sandbox.must(client, *before, *words, cwd=sandbox.folder, VIRTUAL_ENV=str(venv.folder))
        assert venv.installed() == {"pasted": "1.0"}
