"""uv as people run it: pip install, lock, sync, add, with every way to say who they are."""

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
requires-python = ">=3.11"
dependencies = {dependencies}
"""
INDEX = """
[[tool.uv.index]]
name = "company"
url = "{url}"
{more}
"""


def install(sandbox: Sandbox, url: str, *arguments: str | Path, venv: Venv) -> Finished:
    """``uv pip install`` from one index."""
    python = ("--python", venv.python)
    return sandbox.run("uv", "pip", "install", *python, "--default-index", url, *arguments)


def installed(sandbox: Sandbox, url: str, *arguments: str | Path) -> dict[str, str]:
    """Install into a new venv; returns what stands there."""
    venv = sandbox.venv()
    finished = install(sandbox, url, *arguments, venv=venv)
    assert finished.status == 0, str(finished)
    return venv.installed()


def consumer(sandbox: Sandbox, server: Server, *dependencies: str, more: str = "") -> Path:
    """A project with an empty venv that knows ``server`` as ``company``; returns its folder."""
    folder = sandbox.folder / "consumer"
    folder.mkdir()
    text = PROJECT.format(dependencies=list(dependencies))
    text += INDEX.format(url=server.simple, more=more)
    (folder / "pyproject.toml").write_text(text)
    sandbox.venv(folder / ".venv")
    return folder


def as_company(account: Account) -> dict[str, str]:
    """The variables with which uv authenticates at the index named ``company``."""
    return {
        "UV_INDEX_COMPANY_USERNAME": account.username,
        "UV_INDEX_COMPANY_PASSWORD": account.password,
    }


def test_install_with_dependencies(sandbox: Sandbox, open_index: Server) -> None:
    """A project, its dependency and that of its extra all come from the index."""
    open_index.publish(
        Release(name="uv-base"),
        Release(name="uv-plugin", version="2.1"),
        Release(name="uv-app", requires=["uv-base>=1"], extras={"plugin": ["uv-plugin<3"]}),
    )
    found = installed(sandbox, open_index.simple, "uv-app[plugin]")
    assert found == {"uv-app": "1.0", "uv-base": "1.0", "uv-plugin": "2.1"}


def test_aut_3_private_index_without_credentials(sandbox: Sandbox, private_index: Server) -> None:
    """Nobody installs from a private index; uv says that credentials are missing."""
    private_index.publish(Release(name="uv-secret"))
    finished = install(sandbox, private_index.simple, "uv-secret", venv=sandbox.venv())
    assert finished.status != 0
    assert "401" in finished.flat, str(finished)


def test_aut_5_wrong_password(sandbox: Sandbox, private_index: Server) -> None:
    """A wrong password installs nothing."""
    private_index.publish(Release(name="uv-wrong"))
    url = private_index.simple_as(STRANGER)
    finished = install(sandbox, url, "uv-wrong", venv=sandbox.venv())
    assert finished.status != 0
    assert "401" in finished.flat, str(finished)


def test_credentials_in_the_url(sandbox: Sandbox, private_index: Server) -> None:
    """A name and a password in the index's URL are enough for pages, metadata and files."""
    private_index.publish(Release(name="uv-by-url"))
    assert installed(sandbox, private_index.simple_as(READER), "uv-by-url")


def test_credentials_in_netrc(sandbox: Sandbox, private_index: Server) -> None:
    """Credentials from ``~/.netrc`` are enough."""
    private_index.publish(Release(name="uv-by-netrc"))
    private_index.write_netrc(sandbox.home, READER)
    assert installed(sandbox, private_index.simple, "uv-by-netrc")


def test_credentials_in_the_environment(sandbox: Sandbox, private_index: Server) -> None:
    """``UV_INDEX_COMPANY_USERNAME`` and its password are enough for a named index."""
    private_index.publish(Release(name="uv-by-variable"))
    venv = sandbox.venv()
    sandbox.must(
        "uv",
        *("pip", "install", "--python", venv.python),
        *("--default-index", f"company={private_index.simple}", "uv-by-variable"),
        cwd=sandbox.folder,
        **as_company(READER),
    )
    assert venv.installed() == {"uv-by-variable": "1.0"}


def test_url_3_other_spellings(sandbox: Sandbox, open_index: Server) -> None:
    """A project is found however its name is written."""
    open_index.publish(Release(name="Uv.Spelling_Bee"))
    found = installed(sandbox, open_index.simple, "UV_spelling.bee")
    assert found == {"uv-spelling-bee": "1.0"}


def test_url_5_unknown_project_is_looked_up_elsewhere(
    sandbox: Sandbox, open_index: Server, private_index: Server
) -> None:
    """After the 404 of the first index uv asks the second."""
    private_index.publish(Release(name="uv-elsewhere"))
    first = ("--index", open_index.simple)
    found = installed(sandbox, private_index.simple_as(READER), *first, "uv-elsewhere")
    assert found == {"uv-elsewhere": "1.0"}


def test_aut_4_private_index_stops_the_search(
    sandbox: Sandbox, open_index: Server, private_index: Server
) -> None:
    """Refused by the first index, uv does not fall through to the same name on the second."""
    open_index.publish(Release(name="uv-confused"))
    first = ("--index", private_index.simple)
    venv = sandbox.venv()
    finished = install(sandbox, open_index.simple, *first, "uv-confused", venv=venv)
    assert finished.status != 0, str(finished)
    assert not venv.installed()


def test_require_hashes(sandbox: Sandbox, open_index: Server) -> None:
    """Hash-checking mode takes what the index serves, and refuses what has another hash."""
    release = Release(name="uv-hashed")
    open_index.publish(release)
    wanted = sandbox.folder / "requirements.txt"
    arguments = ("--require-hashes", "-r", wanted)
    wanted.write_text(f"uv-hashed==1.0 --hash=sha256:{'0' * 64}\n")
    refused = install(sandbox, open_index.simple, *arguments, venv=sandbox.venv())
    assert refused.status != 0
    assert "Hash mismatch" in refused.flat, str(refused)
    wanted.write_text(f"uv-hashed==1.0 --hash=sha256:{release.wheel().sha256}\n")
    assert installed(sandbox, open_index.simple, *arguments)


def test_exclude_newer(sandbox: Sandbox, open_index: Server) -> None:
    """``--exclude-newer`` takes the newest release of that time."""
    open_index.publish(Release(name="uv-dated"), Release(name="uv-dated", version="2.0"))
    cutoff = open_index.upload_time("uv-dated", "2.0")
    found = installed(sandbox, open_index.simple, "--exclude-newer", cutoff, "uv-dated")
    assert found == {"uv-dated": "1.0"}


def test_ynk_1_yanked_is_skipped_unless_pinned(sandbox: Sandbox, open_index: Server) -> None:
    """A yanked release is installed only by its exact version, and uv shows the reason."""
    yanked = Release(name="uv-yanked", version="2.0")
    open_index.publish(Release(name="uv-yanked"), yanked)
    open_index.yank(yanked, "leaks <memory> & ünïcödé")
    venv = sandbox.venv()
    plain = install(sandbox, open_index.simple, "uv-yanked", venv=venv)
    assert venv.installed() == {"uv-yanked": "1.0"}, str(plain)
    pinned = install(sandbox, open_index.simple, "uv-yanked==2.0", venv=venv)
    assert venv.installed() == {"uv-yanked": "2.0"}, str(pinned)
    assert "leaks <memory> & ünïcödé" in pinned.flat, str(pinned)


def test_cch_3_new_release_is_seen_at_once(sandbox: Sandbox, open_index: Server) -> None:
    """uv, which keeps pages as long as it is told, sees a release right after its upload."""
    venv = sandbox.venv()
    for version in ("1.0", "2.0"):
        open_index.publish(Release(name="uv-fresh", version=version))
        finished = install(sandbox, open_index.simple, "--upgrade", "uv-fresh", venv=venv)
        assert venv.installed() == {"uv-fresh": version}, str(finished)


def test_met_1_lock_reads_metadata_only(sandbox: Sandbox, open_index: Server) -> None:
    """``uv lock`` reads ``.metadata`` of wheels and downloads none; ``uv sync`` installs them."""
    open_index.publish(Release(name="uv-leaf"), Release(name="uv-tree", requires=["uv-leaf>=1,<2"]))
    with recorded(open_index) as recording:
        folder = consumer(sandbox, recording.server, "uv-tree", more="default = true")
        sandbox.must("uv", "lock", cwd=folder)
        assert len(recording.ending(".whl.metadata")) == 2, recording.requests
        assert not recording.ending(".whl"), recording.requests
        sandbox.must("uv", "lock", "--check", cwd=folder)
        sandbox.must("uv", "sync", "--locked", cwd=folder)
    assert Venv(folder / ".venv").installed() == {"uv-tree": "1.0", "uv-leaf": "1.0"}


def test_url_11_lock_serves_later(sandbox: Sandbox, private_index: Server) -> None:
    """What was locked is installed from the lock file alone, after newer releases came."""
    private_index.publish(Release(name="uv-locked"))
    folder = consumer(sandbox, private_index, "uv-locked", more="default = true")
    sandbox.must("uv", "lock", cwd=folder, **as_company(READER))
    lock = (folder / "uv.lock").read_text()
    assert READER.username not in lock
    assert Release(name="uv-locked").wheel().sha256 in lock
    private_index.publish(Release(name="uv-locked", version="2.0"))
    sandbox.must("uv", "sync", "--frozen", "--no-cache", cwd=folder, **as_company(READER))
    assert Venv(folder / ".venv").installed() == {"uv-locked": "1.0"}


def test_add_from_an_explicit_index(sandbox: Sandbox, private_index: Server) -> None:
    """``uv add`` takes a project from an ``explicit`` index, which serves nothing else."""
    private_index.publish(Release(name="uv-explicit"))
    folder = consumer(sandbox, private_index, more="explicit = true")
    sandbox.must("uv", "add", "--index", "company", "uv-explicit", cwd=folder, **as_company(READER))
    text = (folder / "pyproject.toml").read_text()
    assert 'uv-explicit = { index = "company" }' in text
    assert Venv(folder / ".venv").installed() == {"uv-explicit": "1.0"}
