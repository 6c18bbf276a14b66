"""What uploaders offer beside a plain upload: repeating, checking, other URLs and credentials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import Finished, Sandbox
from tests.e2e.server import READER, UPLOADER, Server
from tests.e2e.uploaders import UPLOADERS, files

pytestmark = pytest.mark.e2e

CHANGED = "def main() -> None:\n    print('changed')\n"


def uv_publish(sandbox: Sandbox, folder: Path, server: Server) -> Finished:
    """``uv publish --check-url``, which compares with the page before it sends."""
    return sandbox.run(
        "uv",
        *("publish", "--trusted-publishing", "never"),
        *("--publish-url", server.legacy, "--check-url", server.simple),
        *files(folder),
        UV_PUBLISH_USERNAME=UPLOADER.username,
        UV_PUBLISH_PASSWORD=UPLOADER.password,
        UV_NO_CONFIG="1",
    )


def test_uv_check_url_skips_what_is_there(sandbox: Sandbox, open_index: Server) -> None:
    """``uv publish --check-url`` sends only what the page does not list."""
    release = Release(name="check-url")
    open_index.publish(release)
    folder = release.write(sandbox.folder / "project")
    finished = uv_publish(sandbox, folder, open_index)
    assert finished.status == 0, str(finished)
    assert f"File {release.wheel().filename} already exists, skipping" in finished.flat
    assert len(open_index.hashes(release.name)) == 2


def test_uv_check_url_refuses_other_bytes(sandbox: Sandbox, open_index: Server) -> None:
    """``uv publish --check-url`` sees by the page's hash that a file is another one."""
    release = Release(name="check-url-changed")
    open_index.publish(release)
    before = open_index.hashes(release.name)
    folder = replace(release, code=CHANGED).write(sandbox.folder / "project")
    finished = uv_publish(sandbox, folder, open_index)
    assert finished.status != 0, str(finished)
    assert "Local file and index file do not match" in finished.flat, str(finished)
    assert open_index.hashes(release.name) == before


@pytest.mark.parametrize("client", ["poetry", "pdm"])
def test_upl_4_skip_existing(client: str, sandbox: Sandbox, open_index: Server) -> None:
    """``--skip-existing`` recognises the refusal, and goes on with the next file."""
    release = Release(name=f"skip-existing-{client}")
    open_index.publish(release)
    changed = replace(release, code=CHANGED)
    folder = changed.write(sandbox.folder / "project")
    target = {
        "poetry": ("--repository", "company"),
        "pdm": ("--no-build", "--repository", open_index.legacy),
    }
    finished = sandbox.run(
        client,
        *("publish", "--skip-existing", *target[client]),
        *("--username", UPLOADER.username, "--password", UPLOADER.password),
        cwd=folder,
        POETRY_REPOSITORIES_COMPANY_URL=open_index.legacy,
    )
    assert finished.status == 0, str(finished)
    shown = open_index.hashes(release.name)
    assert shown[release.wheel().filename] == release.wheel().sha256
    assert shown[changed.sdist().filename] == changed.sdist().sha256


def test_hatch_skips_what_the_index_lists(sandbox: Sandbox, open_index: Server) -> None:
    """hatch reads ``UP/+simple/NAME/`` and sends nothing that is there (UPL-21)."""
    release = Release(name="hatch-skips")
    open_index.publish(release)
    open_index.publish(release, sdist=True)
    before = open_index.page(release.name)
    folder = release.write(sandbox.folder / "project")
    finished = UPLOADERS["hatch"](sandbox, folder, open_index, UPLOADER)
    assert finished.status == 0, str(finished)
    assert open_index.page(release.name) == before


PATHS = ["/legacy", "", "/", "/simple/", "/simple", "/pypi/", "/pypi"]


@pytest.mark.parametrize("path", PATHS)
def test_upl_2_every_upload_url(path: str, sandbox: Sandbox, open_index: Server) -> None:
    """Uploads arrive at each of the URLs, with and without slash, without a redirect."""
    release = Release(name=f"way-{PATHS.index(path)}")
    folder = release.write(sandbox.folder / "project")
    sandbox.must(
        "twine",
        *("upload", "--disable-progress-bar", "--repository-url", f"{open_index.url}{path}"),
        *("--username", UPLOADER.username, "--password", UPLOADER.password),
        *files(folder),
    )
    assert len(open_index.hashes(release.name)) == 2


def test_twine_pypirc(sandbox: Sandbox, open_index: Server) -> None:
    """twine uploads to a repository that ``~/.pypirc`` names, with its credentials."""
    release = Release(name="by-pypirc")
    folder = release.write(sandbox.folder / "project")
    (sandbox.home / ".pypirc").write_text(
        f"[distutils]\nindex-servers = company\n\n[company]\nrepository = {open_index.legacy}\n"
        f"username = {UPLOADER.username}\npassword = {UPLOADER.password}\n"
    )
    sandbox.must("twine", "upload", "--repository", "company", *files(folder))
    assert len(open_index.hashes(release.name)) == 2


def test_upl_15_twine_shows_the_reason(sandbox: Sandbox, open_index: Server) -> None:
    """Without ``--verbose`` twine prints the reason phrase alone: it says who may not do what."""
    folder = Release(name="reason-phrase").write(sandbox.folder / "project")
    finished = UPLOADERS["twine"](sandbox, folder, open_index, READER)
    assert finished.status != 0
    assert READER.username in finished.flat, str(finished)


def test_upl_14_uv_shows_the_reason(sandbox: Sandbox, open_index: Server) -> None:
    """uv prints the ``code`` of a JSON answer."""
    folder = Release(name="json-code").write(sandbox.folder / "project")
    finished = UPLOADERS["uv"](sandbox, folder, open_index, READER)
    assert finished.status != 0
    assert READER.username in finished.flat, str(finished)
