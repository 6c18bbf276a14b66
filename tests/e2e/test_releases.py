"""Unusual releases, and what an admin did to a project, as uploaders and installers see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import CLIENTS, Finished, Sandbox, Venv
from tests.e2e.server import READER, UPLOADER, Server
from tests.e2e.uploaders import UPLOADERS, twine

pytestmark = pytest.mark.e2e

INSTALLERS = ("pip", "pip-html", "uv")


@pytest.fixture(params=INSTALLERS)
def installer(request: pytest.FixtureRequest) -> str:
    """Installers by JSON, by HTML alone, and by JSON once more."""
    name: str = request.param
    return name


def install(
    sandbox: Sandbox, installer: str, url: str, requirement: str, folder: str = ".venv"
) -> tuple[Finished, Venv]:
    """Install into a new venv of the sandbox."""
    venv = sandbox.venv(sandbox.folder / folder)
    if installer == "uv":
        words = ("uv", "pip", "install", "--python", venv.python, "--default-index", url)
        return sandbox.execute(CLIENTS / "uv" / "bin" / words[0], *words[1:], requirement), venv
    packages = next((venv.folder / "lib").glob("python3*")) / "site-packages"
    pip = CLIENTS / installer / "bin" / "pip"
    options = ("--target", packages, "--index-url", url)
    return sandbox.execute(pip, "install", *options, requirement), venv


def test_url_13_epoch_and_local_version(
    installer: str, sandbox: Sandbox, open_index: Server
) -> None:
    """``!`` and ``+`` in filenames survive upload, page and download."""
    release = Release(name=f"odd-version-{installer}", version="1!2.0+linux.1")
    uploaded = twine(sandbox, release.write(sandbox.folder / "project"), open_index, UPLOADER)
    assert uploaded.status == 0, str(uploaded)
    finished, venv = install(sandbox, installer, open_index.simple, release.name)
    assert venv.installed() == {release.name: "1!2.0+linux.1"}, str(finished)


def test_htm_5_requires_python(installer: str, sandbox: Sandbox, open_index: Server) -> None:
    """A release for other Pythons is passed over, by what the page alone says."""
    name = f"other-python-{installer}"
    open_index.publish(
        Release(name=name, requires_python=">=3.8,!=3.9.1"),
        Release(name=name, version="2.0", requires_python=">=3.99,<4"),
    )
    finished, venv = install(sandbox, installer, open_index.simple, name)
    assert venv.installed() == {name: "1.0"}, str(finished)


def test_sta_2_quarantined(installer: str, sandbox: Sandbox, open_index: Server) -> None:
    """A quarantined project installs no more, and installs again once it is released."""
    release = Release(name=f"quarantined-{installer}")
    open_index.publish(release)
    open_index.manage("PATCH", release.name, status="quarantined", reason="under review")
    finished, venv = install(sandbox, installer, open_index.simple, release.name)
    assert finished.status != 0
    assert not venv.installed()
    open_index.manage("PATCH", release.name, status="active")
    finished, venv = install(sandbox, installer, open_index.simple, release.name, "released")
    assert venv.installed() == {release.name: "1.0"}, str(finished)


def test_sta_1_archived(sandbox: Sandbox, open_index: Server) -> None:
    """An archived project installs; uploads to it are refused, with a reason in the client."""
    release = Release(name="archived")
    open_index.publish(release)
    open_index.manage("PATCH", release.name, status="archived", reason="replaced")
    newer = replace(release, version="2.0").write(sandbox.folder / "project")
    finished = twine(sandbox, newer, open_index, UPLOADER)
    assert finished.status != 0
    assert "403" in finished.flat, str(finished)
    assert "archived" in finished.flat.partition("ERROR")[2], str(finished)
    finished, venv = install(sandbox, "pip", open_index.simple, release.name)
    assert venv.installed() == {release.name: "1.0"}, str(finished)


def test_fil_6_deleted_filename_stays_taken(sandbox: Sandbox, open_index: Server) -> None:
    """A deleted file installs no more, and its name takes no other bytes."""
    release = Release(name="deleted")
    open_index.publish(Release(name="deleted", version="0.9"), release)
    open_index.manage("DELETE", f"{release.name}/files/{release.wheel().filename}")
    finished, venv = install(sandbox, "uv", open_index.simple, "deleted")
    assert venv.installed() == {"deleted": "0.9"}, str(finished)
    other = replace(release, code="CHANGED = True\n").write(sandbox.folder / "project")
    (other / "dist" / release.sdist().filename).unlink()
    finished = twine(sandbox, other, open_index, UPLOADER)
    assert finished.status != 0
    assert "previously used" in finished.flat, str(finished)


def test_upl_12_clients_race(sandbox: Sandbox, private_index: Server) -> None:
    """Five clients send the same files at once: all succeed, and each file is there once."""
    release = Release(name="raced")
    clients = [name for name in UPLOADERS if name != "flit"]

    def upload(client: str) -> Finished:
        folder: Path = sandbox.folder / client
        folder.mkdir()
        own = Sandbox(folder, sandbox.tripwire)
        return UPLOADERS[client](own, release.write(folder / "project"), private_index, UPLOADER)

    with ThreadPoolExecutor(len(clients)) as pool:
        for finished in pool.map(upload, clients):
            assert finished.status == 0, str(finished)
    made = (release.wheel(), release.sdist())
    assert private_index.hashes("raced") == {one.filename: one.sha256 for one in made}


def test_private_html(sandbox: Sandbox, private_index: Server) -> None:
    """A client that reads HTML alone gets by with credentials in its URL."""
    private_index.publish(Release(name="private-html"))
    url = private_index.simple_as(READER)
    finished, venv = install(sandbox, "pip-html", url, "private-html")
    assert venv.installed() == {"private-html": "1.0"}, str(finished)
