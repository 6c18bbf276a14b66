"""pip as people run it: install, download, look, with every way to say who they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.recording import recorded
from tests.e2e.sandbox import CLIENTS, Finished, Sandbox, Venv
from tests.e2e.server import READER, STRANGER, Server

pytestmark = pytest.mark.e2e


def pip(sandbox: Sandbox, *arguments: str | Path, venv: Venv | None = None) -> Finished:
    """Run pip on a venv, on a new one by default."""
    venv = venv or sandbox.venv()
    return sandbox.run("pip", "--python", venv.python, *arguments)


def install(sandbox: Sandbox, index_url: str, *arguments: str | Path) -> dict[str, str]:
    """Install into a new venv; returns what stands there."""
    venv = sandbox.venv()
    finished = pip(sandbox, "install", "--index-url", index_url, *arguments, venv=venv)
    assert finished.status == 0, str(finished)
    return venv.installed()


def test_install_with_dependencies(sandbox: Sandbox, open_index: Server) -> None:
    """A project, its dependency and that of its extra all come from the index."""
    open_index.publish(
        Release(name="pip-base"),
        Release(name="pip-plugin", version="2.1"),
        Release(name="pip-app", requires=["pip-base>=1"], extras={"plugin": ["pip-plugin<3"]}),
    )
    installed = install(sandbox, open_index.simple, "pip-app[plugin]")
    assert installed == {"pip-app": "1.0", "pip-base": "1.0", "pip-plugin": "2.1"}


def test_aut_3_private_index_without_credentials(sandbox: Sandbox, private_index: Server) -> None:
    """Without credentials pip finds nothing on a private index (and says no more than that)."""
    private_index.publish(Release(name="pip-secret"))
    finished = pip(sandbox, "install", "--index-url", private_index.simple, "pip-secret")
    assert finished.status != 0
    assert "from versions: none" in finished.flat, str(finished)


def test_aut_5_wrong_password(sandbox: Sandbox, private_index: Server) -> None:
    """A wrong password installs nothing."""
    private_index.publish(Release(name="pip-wrong"))
    url = private_index.simple_as(STRANGER)
    finished = pip(sandbox, "install", "--index-url", url, "pip-wrong")
    assert finished.status != 0
    assert "401" in finished.flat, str(finished)


def test_credentials_in_the_url(sandbox: Sandbox, private_index: Server) -> None:
    """A name and a password in the index's URL are enough for pages, metadata and files."""
    private_index.publish(Release(name="pip-by-url"))
    assert install(sandbox, private_index.simple_as(READER), "pip-by-url")


def test_credentials_in_netrc(sandbox: Sandbox, private_index: Server) -> None:
    """Credentials from ``~/.netrc`` are enough."""
    private_index.publish(Release(name="pip-by-netrc"))
    private_index.write_netrc(sandbox.home, READER)
    assert install(sandbox, private_index.simple, "pip-by-netrc")


def test_credentials_in_the_environment(sandbox: Sandbox, private_index: Server) -> None:
    """``PIP_INDEX_URL`` with credentials in it is enough."""
    private_index.publish(Release(name="pip-by-variable"))
    venv = sandbox.venv()
    sandbox.must(
        "pip",
        *("--python", venv.python, "install", "pip-by-variable"),
        PIP_INDEX_URL=private_index.simple_as(READER),
    )
    assert venv.installed() == {"pip-by-variable": "1.0"}


def test_url_3_other_spellings(sandbox: Sandbox, open_index: Server) -> None:
    """A project is found however its name is written."""
    open_index.publish(Release(name="Pip.Spelling_Bee"))
    assert install(sandbox, open_index.simple, "PIP_spelling.bee") == {"pip-spelling-bee": "1.0"}


def test_url_5_unknown_project_is_looked_up_elsewhere(
    sandbox: Sandbox, open_index: Server, private_index: Server
) -> None:
    """What one index does not know is installed from the other."""
    private_index.publish(Release(name="pip-elsewhere"))
    other = private_index.simple_as(READER)
    installed = install(sandbox, open_index.simple, "--extra-index-url", other, "pip-elsewhere")
    assert installed == {"pip-elsewhere": "1.0"}


def test_require_hashes(sandbox: Sandbox, open_index: Server) -> None:
    """Hash-checking mode takes what the index serves."""
    release = Release(name="pip-hashed")
    open_index.publish(release)
    wanted = sandbox.folder / "requirements.txt"
    wanted.write_text(f"pip-hashed==1.0 --hash=sha256:{release.wheel().sha256}\n")
    assert install(sandbox, open_index.simple, "--require-hashes", "-r", wanted)


def test_require_hashes_refuses_another(sandbox: Sandbox, open_index: Server) -> None:
    """Hash-checking mode refuses a file with another hash."""
    open_index.publish(Release(name="pip-misshashed"))
    wanted = sandbox.folder / "requirements.txt"
    wanted.write_text(f"pip-misshashed==1.0 --hash=sha256:{'0' * 64}\n")
    finished = pip(
        sandbox,
        *("install", "--index-url", open_index.simple, "--require-hashes", "-r", wanted),
    )
    assert finished.status != 0
    assert "DO NOT MATCH THE HASHES" in finished.flat, str(finished)


def test_uploaded_prior_to(sandbox: Sandbox, open_index: Server) -> None:
    """``--uploaded-prior-to`` takes the newest release of that time."""
    open_index.publish(Release(name="pip-dated"), Release(name="pip-dated", version="2.0"))
    cutoff = open_index.upload_time("pip-dated", "2.0")
    arguments = ("--uploaded-prior-to", cutoff, "pip-dated")
    assert install(sandbox, open_index.simple, *arguments) == {"pip-dated": "1.0"}


def test_ynk_1_yanked_is_skipped_unless_pinned(sandbox: Sandbox, open_index: Server) -> None:
    """A yanked release is installed only by its exact version, and pip shows the reason."""
    yanked = Release(name="pip-yanked", version="2.0")
    open_index.publish(Release(name="pip-yanked"), yanked)
    open_index.yank(yanked, "leaks <memory> & ünïcödé")
    venv = sandbox.venv()
    plain = pip(sandbox, "install", "--index-url", open_index.simple, "pip-yanked", venv=venv)
    assert venv.installed() == {"pip-yanked": "1.0"}, str(plain)
    pinned = pip(sandbox, "install", "--index-url", open_index.simple, "pip-yanked==2.0", venv=venv)
    assert venv.installed() == {"pip-yanked": "2.0"}, str(pinned)
    assert "leaks <memory> & ünïcödé" in pinned.flat, str(pinned)


def test_download(sandbox: Sandbox, open_index: Server) -> None:
    """``pip download`` fetches wheel and sdist, unchanged and under their own names."""
    release = Release(name="pip-download")
    open_index.publish(release)
    open_index.publish(release, sdist=True)
    target, builder = sandbox.folder / "downloads", Venv(CLIENTS / "build")
    arguments = ("download", "--no-deps", "--index-url", open_index.simple, "--dest", target)
    for form in (["--only-binary=:all:"], ["--no-binary=:all:", "--no-build-isolation"]):
        finished = pip(sandbox, *arguments, *form, "pip-download", venv=builder)
        assert finished.status == 0, str(finished)
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in target.iterdir()}
    assert found == {made.filename: made.sha256 for made in (release.wheel(), release.sdist())}


def test_index_versions(sandbox: Sandbox, open_index: Server) -> None:
    """``pip index versions`` lists all versions, newest first."""
    versions = ("1.0", "1.10", "1.9", "2.0rc1")
    open_index.publish(*(Release(name="pip-versions", version=one) for one in versions))
    finished = pip(
        sandbox, "index", "versions", "--pre", "--index-url", open_index.simple, "pip-versions"
    )
    assert "Available versions: 2.0rc1, 1.10, 1.9, 1.0" in finished.flat, str(finished)


def test_met_1_metadata_is_enough_to_resolve(sandbox: Sandbox, open_index: Server) -> None:
    """A dry run reads ``.metadata`` files and downloads no wheel."""
    open_index.publish(Release(name="pip-leaf"), Release(name="pip-tree", requires=["pip-leaf"]))
    with recorded(open_index) as recording:
        finished = pip(
            sandbox, "install", "--dry-run", "--index-url", recording.server.simple, "pip-tree"
        )
        assert finished.status == 0, str(finished)
    assert "Would install pip-leaf-1.0 pip-tree-1.0" in finished.flat, str(finished)
    assert len(recording.ending(".whl.metadata")) == 2, recording.requests
    assert not recording.ending(".whl"), recording.requests


def test_fast_deps(sandbox: Sandbox, open_index: Server) -> None:
    """``--use-feature=fast-deps`` works as well."""
    open_index.publish(
        Release(name="pip-fast-leaf"), Release(name="pip-fast", requires=["pip-fast-leaf"])
    )
    installed = install(sandbox, open_index.simple, "--use-feature=fast-deps", "pip-fast")
    assert installed == {"pip-fast": "1.0", "pip-fast-leaf": "1.0"}


def test_cch_3_new_release_is_seen_at_once(sandbox: Sandbox, open_index: Server) -> None:
    """pip, which keeps pages as long as it is told, sees a release right after its upload."""
    venv = sandbox.venv()
    for version in ("1.0", "2.0"):
        open_index.publish(Release(name="pip-fresh", version=version))
        arguments = ("install", "--upgrade", "--index-url", open_index.simple, "pip-fresh")
        finished = pip(sandbox, *arguments, venv=venv)
        assert venv.installed() == {"pip-fresh": version}, str(finished)


def test_lock_and_install(sandbox: Sandbox, private_index: Server) -> None:
    """``pylock.toml`` (PEP 751) names URLs that still serve the locked bytes later."""
    private_index.publish(
        Release(name="pip-locked-leaf"), Release(name="pip-locked", requires=["pip-locked-leaf"])
    )
    private_index.write_netrc(sandbox.home, READER)
    venv, lock = sandbox.venv(), sandbox.folder / "pylock.toml"
    arguments = ("lock", "--index-url", private_index.simple, "--output", lock, "pip-locked")
    locked = pip(sandbox, *arguments, venv=venv)
    assert locked.status == 0, str(locked)
    assert private_index.url in lock.read_text()
    sandbox.must("uv", "pip", "sync", "--python", venv.python, lock)
    assert venv.installed() == {"pip-locked": "1.0", "pip-locked-leaf": "1.0"}


def test_html_only_client(sandbox: Sandbox, private_index: Server) -> None:
    """A pip from before the JSON form installs by the HTML page, hash and markers included."""
    private_index.publish(
        Release(name="Html.Leaf"),
        Release(name="html-tree", requires=["html_leaf"]),
        Release(name="html-tree", version="2.0"),
    )
    private_index.yank(Release(name="html-tree", version="2.0"), "<script>")
    target = sandbox.folder / "target"
    with recorded(private_index) as recording:
        finished = sandbox.execute(
            *(CLIENTS / "pip-html" / "bin" / "pip", "install", "--target", target),
            *("--index-url", recording.server.simple_as(READER), "html-tree"),
        )
        assert finished.status == 0, str(finished)
    assert {path.name for path in target.glob("*.py")} == {"html_tree.py", "html_leaf.py"}
    assert recording.ending("/html_tree-1.0-py3-none-any.whl"), recording.requests
