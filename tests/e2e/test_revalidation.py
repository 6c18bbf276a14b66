"""Clients that keep pages ask whether they changed, and are told so without the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.recording import recorded
from tests.e2e.sandbox import Sandbox
from tests.e2e.server import READER, Server
from tests.e2e.test_pdm import consumer as pdm_consumer
from tests.e2e.test_poetry import consumer as poetry_consumer

pytestmark = pytest.mark.e2e


def uv_consumer(sandbox: Sandbox, url: str, dependency: str) -> Path:
    """A folder with ``requirements.in``."""
    sandbox.venv()
    (sandbox.folder / "requirements.in").write_text(f"--index-url {url}\n{dependency}\n")
    return sandbox.folder


CLIENTS: dict[str, tuple[Callable[[Sandbox, str, str], Path], tuple[str, ...]]] = {
    "uv": (uv_consumer, ("pip", "compile", "--upgrade", "requirements.in")),
    "poetry": (poetry_consumer, ("lock", "--regenerate")),
    "pdm": (pdm_consumer, ("lock",)),
}


@pytest.mark.parametrize("client", list(CLIENTS))
def test_cch_2_second_look_is_a_304(
    client: str, sandbox: Sandbox, open_index: Server, private_index: Server
) -> None:
    """A second resolution is answered 304 for the page, on open and private indexes alike.

    pdm's cache counts itself among the shared ones (RFC 9111), so it keeps no private page.
    """
    make, command = CLIENTS[client]
    release = Release(name=f"kept-{client}")
    for index in (open_index,) if client == "pdm" else (open_index, private_index):
        index.publish(release)
        with recorded(index) as recording:
            own = Sandbox(sandbox.folder / str(index is open_index), sandbox.tripwire)
            own.folder.mkdir()
            folder = make(own, recording.server.simple_as(READER), release.name)
            own.must(client, *command, cwd=folder)
            first = len(recording.answers)
            own.must(client, *command, cwd=folder)
            assert "304" in recording.answers[first:], recording
