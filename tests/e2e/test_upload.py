"""Every client that uploads: its files arrive, and its user reads why they do not."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import Sandbox
from tests.e2e.server import READER, STRANGER, UPLOADER, Server
from tests.e2e.uploaders import UPLOADERS, Uploader

pytestmark = pytest.mark.e2e

ALREADY = "already exists"
LARGE = 6 * 2**20
"""Bytes; the sockets of both sides hold less."""


@pytest.fixture(params=list(UPLOADERS))
def name(request: pytest.FixtureRequest) -> str:
    """Every uploader in turn."""
    client: str = request.param
    return client


@pytest.fixture
def upload(name: str) -> Uploader:
    """How that client is called."""
    return UPLOADERS[name]


def test_upload_arrives(
    name: str, upload: Uploader, sandbox: Sandbox, private_index: Server
) -> None:
    """A wheel and an sdist arrive, however the name is spelt, with the hashes of what was sent."""
    release = Release(name=f"New.{name}_Project")
    folder = release.write(sandbox.folder / "project")
    finished = upload(sandbox, folder, private_index, UPLOADER)
    assert finished.status == 0, str(finished)
    shown = private_index.hashes(f"new-{name}-project")
    sent = {made.filename: made.sha256 for made in (release.wheel(), release.sdist())}
    assert set(shown) == set(sent)
    if name != "flit":
        assert shown == sent


def test_upl_3_same_bytes_again(
    name: str, upload: Uploader, sandbox: Sandbox, private_index: Server
) -> None:
    """The same files once more are a success that changes nothing."""
    release = Release(name=f"again-{name}")
    folder = release.write(sandbox.folder / "project")
    first = upload(sandbox, folder, private_index, UPLOADER)
    assert first.status == 0, str(first)
    page = private_index.page(release.name)
    second = upload(sandbox, folder, private_index, UPLOADER)
    assert second.status == 0, str(second)
    assert private_index.page(release.name) == page


def test_upl_4_other_bytes_refused(
    name: str, upload: Uploader, sandbox: Sandbox, private_index: Server
) -> None:
    """Other bytes under a taken filename fail, and the client says that the file exists.

    hatch compares filenames before it sends, says the same and calls it a success.
    """
    release = Release(name=f"changed-{name}")
    folder = release.write(sandbox.folder / "first")
    first = upload(sandbox, folder, private_index, UPLOADER)
    assert first.status == 0, str(first)
    before = private_index.hashes(release.name)
    changed = replace(release, code="def main() -> None:\n    print('changed')\n")
    second = upload(sandbox, changed.write(sandbox.folder / "second"), private_index, UPLOADER)
    assert (second.status == 0) == (name == "hatch"), str(second)
    assert ALREADY in second.flat, str(second)
    assert private_index.hashes(release.name) == before


def test_upl_16_wrong_password(
    name: str, upload: Uploader, sandbox: Sandbox, private_index: Server
) -> None:
    """A wrong password fails, the client shows 401, and nothing is kept."""
    release = Release(name=f"stranger-{name}")
    folder = release.write(sandbox.folder / "project")
    finished = upload(sandbox, folder, private_index, STRANGER)
    assert finished.status != 0, str(finished)
    assert "401" in finished.flat, str(finished)
    assert private_index.hashes(release.name) == {}


def test_upl_16_no_right(
    name: str, upload: Uploader, sandbox: Sandbox, private_index: Server
) -> None:
    """A user without the right fails, the client shows 403, and nothing is kept."""
    release = Release(name=f"reader-{name}")
    folder = release.write(sandbox.folder / "project")
    finished = upload(sandbox, folder, private_index, READER)
    assert finished.status != 0, str(finished)
    assert "403" in finished.flat, str(finished)
    assert private_index.hashes(release.name) == {}


def test_upl_17_refusal_reaches_a_client_that_still_sends(
    name: str, upload: Uploader, sandbox: Sandbox, private_index: Server
) -> None:
    """A file larger than all buffers in between is refused with a 401, not a broken pipe."""
    noise = Random(name).randbytes(LARGE).hex()
    release = Release(name=f"large-{name}", code=f"NOISE = '{noise}'\n")
    folder = release.write(sandbox.folder / "project")
    finished = upload(sandbox, folder, private_index, STRANGER)
    assert finished.status != 0, str(finished)
    assert "401" in finished.flat, str(finished)
