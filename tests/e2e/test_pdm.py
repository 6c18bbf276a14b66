"""pdm as people run it: add, lock and install from a source, and who it says they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.recording import recorded
from tests.e2e.sandbox import Finished, Sandbox, Venv
from tests.e2e.server import READER, STRANGER, Account, Server

pytestmark = pytest.mark.e2e

PROJECT = """\
[project]
name = "consumer"
version = "0"
requires-python = ">=3.11,<4"
dependencies = {dependencies}

[tool.pdm]
distribution = false

[[tool.pdm.source]]
name = "company"
url = "{url}"
"""


def consumer(sandbox: Sandbox, url: str, *dependencies: str) -> Path:
    """A project with an empty venv, whose only source is ``company``; returns its folder."""
    folder = sandbox.folder / "consumer"
    folder.mkdir()
    text = PROJECT.format(dependencies=list(dependencies), url=url)
    (folder / "pyproject.toml").write_text(text)
    sandbox.venv(folder / ".venv")
    return folder


def installed(folder: Path) -> dict[str, str]:
    """What stands in the project's venv."""
    return Venv(folder / ".venv").installed()


def add(sandbox: Sandbox, folder: Path, *projects: str, **environment: str) -> Finished:
    """``pdm add``."""
    return sandbox.run("pdm", "add", *projects, cwd=folder, **environment)


def test_add_with_dependencies(sandbox: Sandbox, open_index: Server) -> None:
    """``pdm add`` installs a project, its dependency and that of its extra."""
    open_index.publish(
        Release(name="pdm-base"),
        Release(name="pdm-plugin", version="2.1"),
        Release(name="Pdm.App", requires=["pdm_base>=1"], extras={"plugin": ["pdm-plugin<3"]}),
    )
    folder = consumer(sandbox, open_index.simple)
    finished = add(sandbox, folder, "pdm-app[plugin]")
    expected = {"pdm-app": "1.0", "pdm-base": "1.0", "pdm-plugin": "2.1"}
    assert installed(folder) == expected, str(finished)


def test_met_1_lock_reads_metadata_only(sandbox: Sandbox, open_index: Server) -> None:
    """``pdm lock`` reads ``.metadata`` files, and ``pdm sync`` takes what was locked."""
    wheels = [Release(name="pdm-leaf"), Release(name="pdm-tree", requires=["pdm-leaf"])]
    open_index.publish(*wheels)
    with recorded(open_index) as recording:
        folder = consumer(sandbox, recording.server.simple, "pdm-tree")
        sandbox.must("pdm", "lock", cwd=folder)
        assert len(recording.ending(".whl.metadata")) == 2, recording.requests
        assert not recording.ending(".whl"), recording.requests
        lock = (folder / "pdm.lock").read_text()
        assert all(release.wheel().sha256 in lock for release in wheels)
        sandbox.must("pdm", "sync", cwd=folder)
    assert installed(folder) == {"pdm-tree": "1.0", "pdm-leaf": "1.0"}


def test_url_11_static_urls_serve_later(sandbox: Sandbox, open_index: Server) -> None:
    """File URLs in a lock file still serve the locked bytes after newer releases came."""
    open_index.publish(Release(name="pdm-static"))
    folder = consumer(sandbox, open_index.simple, "pdm-static")
    sandbox.must("pdm", "lock", "--static-urls", cwd=folder)
    assert f"{open_index.url}/files/" in (folder / "pdm.lock").read_text()
    open_index.publish(Release(name="pdm-static", version="2.0"))
    sandbox.must("pdm", "sync", cwd=folder)
    assert installed(folder) == {"pdm-static": "1.0"}


def test_aut_3_private_index_without_credentials(sandbox: Sandbox, private_index: Server) -> None:
    """Nobody adds from a private index."""
    private_index.publish(Release(name="pdm-secret"))
    folder = consumer(sandbox, private_index.simple)
    finished = add(sandbox, folder, "pdm-secret")
    assert finished.status != 0, str(finished)
    assert not installed(folder)


def test_aut_5_wrong_password(sandbox: Sandbox, private_index: Server) -> None:
    """A wrong password adds nothing."""
    private_index.publish(Release(name="pdm-wrong"))
    folder = consumer(sandbox, private_index.simple_as(STRANGER))
    finished = add(sandbox, folder, "pdm-wrong")
    assert finished.status != 0, str(finished)
    assert not installed(folder)


def test_credentials_in_the_url(sandbox: Sandbox, private_index: Server) -> None:
    """A name and a password in the source's URL are enough for pages, metadata and files."""
    private_index.publish(Release(name="pdm-by-url"))
    folder = consumer(sandbox, private_index.simple_as(READER))
    finished = add(sandbox, folder, "pdm-by-url")
    assert installed(folder) == {"pdm-by-url": "1.0"}, str(finished)


def test_credentials_in_the_environment(sandbox: Sandbox, private_index: Server) -> None:
    """A password that the source's URL names by its variable is enough."""
    private_index.publish(Release(name="pdm-by-variable"))
    named = Account("${READER_NAME}", "${READER_PASSWORD}")
    url = private_index.simple.replace("://", f"://{named.username}:{named.password}@")
    folder = consumer(sandbox, url)
    finished = add(
        sandbox,
        folder,
        "pdm-by-variable",
        READER_NAME=READER.username,
        READER_PASSWORD=READER.password,
    )
    assert installed(folder) == {"pdm-by-variable": "1.0"}, str(finished)


def test_credentials_in_netrc(sandbox: Sandbox, private_index: Server) -> None:
    """Credentials from ``~/.netrc`` are enough."""
    private_index.publish(Release(name="pdm-by-netrc"))
    private_index.write_netrc(sandbox.home, READER)
    folder = consumer(sandbox, private_index.simple)
    finished = add(sandbox, folder, "pdm-by-netrc")
    assert installed(folder) == {"pdm-by-netrc": "1.0"}, str(finished)


def test_ynk_1_yanked_is_skipped_unless_pinned(sandbox: Sandbox, open_index: Server) -> None:
    """A yanked release is added only by its exact version."""
    yanked = Release(name="pdm-yanked", version="2.0")
    open_index.publish(Release(name="pdm-yanked"), yanked)
    open_index.yank(yanked, "leaks memory")
    folder = consumer(sandbox, open_index.simple)
    plain = add(sandbox, folder, "pdm-yanked")
    assert installed(folder) == {"pdm-yanked": "1.0"}, str(plain)
    pinned = add(sandbox, folder, "pdm-yanked==2.0")
    assert installed(folder) == {"pdm-yanked": "2.0"}, str(pinned)


def test_exclude_newer(sandbox: Sandbox, open_index: Server) -> None:
    """``pdm lock --exclude-newer`` takes the newest release of that time."""
    open_index.publish(Release(name="pdm-dated"), Release(name="pdm-dated", version="2.0"))
    folder = consumer(sandbox, open_index.simple, "pdm-dated")
    cutoff = open_index.upload_time("pdm-dated", "1.0")
    sandbox.must("pdm", "lock", "--exclude-newer", cutoff, cwd=folder)
    sandbox.must("pdm", "sync", cwd=folder)
    assert installed(folder) == {"pdm-dated": "1.0"}


def test_cch_3_new_release_is_seen_at_once(sandbox: Sandbox, open_index: Server) -> None:
    """pdm, which keeps pages as long as it is told, sees a release right after its upload."""
    open_index.publish(Release(name="pdm-fresh"))
    folder = consumer(sandbox, open_index.simple, "pdm-fresh")
    for version in ("1.0", "2.0"):
        open_index.publish(Release(name="pdm-fresh", version=version))
        sandbox.must("pdm", "update", "--update-all", cwd=folder)
        assert installed(folder) == {"pdm-fresh": version}
