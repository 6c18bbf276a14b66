"""poetry as people run it: add, lock and install from a source, and who it says they are."""

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

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "company"
url = "{url}"
priority = "primary"
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


def as_company(account: Account) -> dict[str, str]:
    """The variables with which poetry authenticates at the source named ``company``."""
    return {
        "POETRY_HTTP_BASIC_COMPANY_USERNAME": account.username,
        "POETRY_HTTP_BASIC_COMPANY_PASSWORD": account.password,
    }


def add(sandbox: Sandbox, folder: Path, *projects: str, **environment: str) -> Finished:
    """``poetry add``."""
    return sandbox.run("poetry", "add", *projects, cwd=folder, **environment)


def test_add_with_dependencies(sandbox: Sandbox, open_index: Server) -> None:
    """``poetry add`` installs a project, its dependency and that of its extra."""
    open_index.publish(
        Release(name="poetry-base"),
        Release(name="poetry-plugin", version="2.1"),
        Release(
            name="Poetry.App", requires=["poetry_base>=1"], extras={"plugin": ["poetry-plugin<3"]}
        ),
    )
    folder = consumer(sandbox, open_index.simple)
    finished = add(sandbox, folder, "poetry-app[plugin]")
    expected = {"poetry-app": "1.0", "poetry-base": "1.0", "poetry-plugin": "2.1"}
    assert installed(folder) == expected, str(finished)


def test_met_1_lock_reads_metadata_only(sandbox: Sandbox, open_index: Server) -> None:
    """``poetry lock`` reads ``.metadata`` files, and ``poetry install`` takes what was locked."""
    wheels = [Release(name="poetry-leaf"), Release(name="poetry-tree", requires=["poetry-leaf"])]
    open_index.publish(*wheels)
    with recorded(open_index) as recording:
        folder = consumer(sandbox, recording.server.simple, "poetry-tree")
        sandbox.must("poetry", "lock", cwd=folder)
        assert len(recording.ending(".whl.metadata")) == 2, recording.requests
        assert not recording.ending(".whl"), recording.requests
        lock = (folder / "poetry.lock").read_text()
        assert all(release.wheel().sha256 in lock for release in wheels)
        sandbox.must("poetry", "sync", cwd=folder)
    assert installed(folder) == {"poetry-tree": "1.0", "poetry-leaf": "1.0"}


def test_aut_3_private_index_without_credentials(sandbox: Sandbox, private_index: Server) -> None:
    """Nobody adds from a private index; poetry shows what it was answered."""
    private_index.publish(Release(name="poetry-secret"))
    folder = consumer(sandbox, private_index.simple)
    finished = add(sandbox, folder, "poetry-secret")
    assert finished.status != 0
    assert "Authorization error accessing" in finished.flat, str(finished)


def test_aut_5_wrong_password(sandbox: Sandbox, private_index: Server) -> None:
    """A wrong password adds nothing."""
    private_index.publish(Release(name="poetry-wrong"))
    folder = consumer(sandbox, private_index.simple)
    finished = add(sandbox, folder, "poetry-wrong", **as_company(STRANGER))
    assert finished.status != 0
    assert "Authorization error accessing" in finished.flat, str(finished)


def test_credentials_in_the_environment(sandbox: Sandbox, private_index: Server) -> None:
    """``POETRY_HTTP_BASIC_COMPANY_…`` is enough for pages, metadata and files."""
    private_index.publish(Release(name="poetry-by-variable"))
    folder = consumer(sandbox, private_index.simple)
    finished = add(sandbox, folder, "poetry-by-variable", **as_company(READER))
    assert installed(folder) == {"poetry-by-variable": "1.0"}, str(finished)


def test_credentials_in_the_url(sandbox: Sandbox, private_index: Server) -> None:
    """A name and a password in the source's URL are enough."""
    private_index.publish(Release(name="poetry-by-url"))
    folder = consumer(sandbox, private_index.simple_as(READER))
    finished = add(sandbox, folder, "poetry-by-url")
    assert installed(folder) == {"poetry-by-url": "1.0"}, str(finished)


def test_credentials_in_netrc(sandbox: Sandbox, private_index: Server) -> None:
    """Credentials from ``~/.netrc`` are enough."""
    private_index.publish(Release(name="poetry-by-netrc"))
    private_index.write_netrc(sandbox.home, READER)
    folder = consumer(sandbox, private_index.simple)
    finished = add(sandbox, folder, "poetry-by-netrc")
    assert installed(folder) == {"poetry-by-netrc": "1.0"}, str(finished)


def test_ynk_1_yanked_is_skipped_unless_pinned(sandbox: Sandbox, open_index: Server) -> None:
    """A yanked release is added only by its exact version, and poetry shows the reason."""
    yanked = Release(name="poetry-yanked", version="2.0")
    open_index.publish(Release(name="poetry-yanked"), yanked)
    open_index.yank(yanked, "leaks memory")
    folder = consumer(sandbox, open_index.simple)
    plain = add(sandbox, folder, "poetry-yanked")
    assert installed(folder) == {"poetry-yanked": "1.0"}, str(plain)
    pinned = add(sandbox, folder, "poetry-yanked==2.0")
    assert installed(folder) == {"poetry-yanked": "2.0"}, str(pinned)
    assert "leaks memory" in pinned.flat, str(pinned)


def test_cch_3_new_release_is_seen_at_once(sandbox: Sandbox, open_index: Server) -> None:
    """poetry, which keeps pages as long as it is told, sees a release right after its upload."""
    open_index.publish(Release(name="poetry-fresh"))
    folder = consumer(sandbox, open_index.simple, "poetry-fresh")
    for version in ("1.0", "2.0"):
        open_index.publish(Release(name="poetry-fresh", version=version))
        sandbox.must("poetry", "update", cwd=folder)
        assert installed(folder) == {"poetry-fresh": version}
