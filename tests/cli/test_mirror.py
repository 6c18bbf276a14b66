"""``pypicloud mirror``: projects kept whole, and carried to where no upstream is."""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from tests.factories import Made, make_sdist, make_wheel
from tests.servers import upstream as upstreams
from tests.servers.upstream import Sent, Upstream, core_metadata
from tests.upstream.sites import fetched, listed, site


def needs(*requirements: str) -> list[tuple[str, str]]:
    """Headers of core metadata."""
    return [("Requires-Dist", one) for one in requirements]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A small world: app needs lib and, for an extra, extra; lib needs leaf before 2."""
    with upstreams.running(metadata=True) as found:
        found.has("app", made=wheel("app", "1.0", "lib>=1", 'extra; extra == "fast"'))
        found.has("app", made=wheel("app", "0.9", "old"))
        found.has("lib", made=wheel("lib", "1.5", "leaf<2"))
        found.has("lib", "0.5")
        found.has("leaf", "2.0")
        found.has("leaf", "1.0")
        found.has("leaf", made=make_wheel("leaf", "1.0", tag="cp312-cp312-win_amd64"))
        found.has("leaf", made=make_sdist("leaf", "1.0"))
        found.has("extra")
        found.has("acme-tool", "9.0")
        yield found


def wheel(name: str, version: str, *requirements: str) -> Made:
    """A wheel with dependencies."""
    return make_wheel(name, version, headers=needs(*requirements))


class Folder:
    """A folder with a service's files, and the command on them."""

    def __init__(self, folder: Path, upstream: Upstream, **variables: str) -> None:
        self.folder, self.upstream, self.variables = folder, upstream, variables
        folder.mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """The settings."""
        return {
            "PYPICLOUD_STORAGE": f"file:{self.folder}/packages",
            "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{self.folder}/cache.db",
            "PYPICLOUD_ACCESS": f"sqlite+aiosqlite:///{self.folder}/access.db",
            "PYPICLOUD_SPOOL": f"{self.folder}/spool",
            "PYPICLOUD_FALLBACK": "mirror",
            "PYPICLOUD_UPSTREAM": self.upstream.simple,
            **self.variables,
        }

    def run(self, *arguments: str) -> Result:
        """Run ``pypicloud mirror …`` to its end, in this process."""
        return CliRunner().invoke(app, ["mirror", *arguments], env=self.environment)

    def told(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a run says with ``--json``."""
        ran = self.run(*arguments, "--json")
        assert ran.exit_code == code, ran.output
        said: dict[str, Any] = json.loads(ran.stdout)
        return said

    def kept(self) -> set[str]:
        """The files that are kept."""
        return {path.name for path in (self.folder / "packages/upstream/files").rglob("*.*[lz]")}


@pytest.fixture
def folder(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """One with nothing in it."""
    monkeypatch.chdir(tmp_path)
    upstream.fault = None
    upstream.asked.clear()
    return Folder(tmp_path / "one", upstream)


def offline(folder: Folder) -> Any:
    """A service on the folder that asks nobody."""
    return site(folder.folder, folder.upstream, "mirror", offline=True)


def test_a_requirement_is_kept_with_its_tree(folder: Folder) -> None:
    """The newest release of each, without extras that nobody asked for; again costs nothing."""
    done = folder.told("sync", "app", "--newest", "1", "--platform", "manylinux*")
    assert folder.kept() == {
        "app-1.0-py3-none-any.whl", "lib-1.5-py3-none-any.whl",
        "leaf-1.0-py3-none-any.whl", "leaf-1.0.tar.gz",
    }  # fmt: skip
    assert (done["projects"], done["kept"], done["here"], done["failed"]) == (3, 4, 0, [])
    asked = len(folder.upstream.paths("/files/"))
    again = folder.told("sync", "app[fast]", "--newest", "1", "--no-sdists")
    assert (again["kept"], again["here"]) == (2, 3)
    files = folder.upstream.paths("/files/")[asked:]
    assert {path.rpartition("/")[2].removesuffix(".metadata") for path in files} == {
        "extra-1.0-py3-none-any.whl", "leaf-1.0-cp312-cp312-win_amd64.whl",
    }  # fmt: skip


def test_patterns_and_files_say_what_is_kept(folder: Folder) -> None:
    """A lock file has its tree; a requirements file may include another."""
    lock = folder.folder / "uv.lock"
    lock.write_text(
        '[[package]]\nname = "app"\nversion = "0.9"\nsource = { registry = "https://x.example" }\n'
        '[[package]]\nname = "mine"\nversion = "1"\nsource = { editable = "." }\n'
    )
    (folder.folder / "more.txt").write_text("extra==1.0 --hash=sha256:00  # why\n")
    plain = folder.folder / "requirements.txt"
    plain.write_text("--no-index\n\n# nothing\nlib \\\n  <1\n-r more.txt\n")
    folder.told("sync", "-r", str(lock), "-r", str(plain))
    assert folder.kept() == {
        "app-0.9-py3-none-any.whl", "extra-1.0-py3-none-any.whl", "lib-0.5-py3-none-any.whl",
    }  # fmt: skip
    listing = Sent(
        body=json.dumps({
            "meta": {"api-version": "1.0"},
            "projects": [{"name": "Leaf"}, {"name": "app"}, {"name": "<evil>"}],
        }).encode(),
        headers={"Content-Type": "application/vnd.pypi.simple.v1+json"},
    )  # fmt: skip
    folder.upstream.fault = lambda asked, sent: listing if asked.path == "/simple/" else sent
    folder.told("sync", "le*", "--no-tree")
    assert {name for name in folder.kept() if name.startswith("leaf")} == {
        "leaf-1.0-cp312-cp312-win_amd64.whl", "leaf-1.0-py3-none-any.whl", "leaf-1.0.tar.gz",
        "leaf-2.0-py3-none-any.whl",
    }  # fmt: skip


def test_a_run_that_is_interrupted_goes_on(folder: Folder) -> None:
    """What failed is told, with 1; the next run fetches that alone."""
    folder.upstream.fault = lambda asked, sent: (
        Sent(404) if asked.path.endswith("lib-1.5-py3-none-any.whl") else sent
    )
    done = folder.told("sync", "app==1.0", "nowhere", code=1)
    assert [line.partition(":")[0] for line in done["failed"]] == [
        "nowhere", "lib-1.5-py3-none-any.whl",
    ]  # fmt: skip
    folder.upstream.fault = None
    folder.upstream.asked.clear()
    assert folder.told("sync", "app==1.0")["failed"] == []
    assert folder.upstream.paths("/files/app") == []
    assert "lib-1.5-py3-none-any.whl" in folder.kept()


def test_rules_and_ownership_hold_for_a_mirror(folder: Folder) -> None:
    """What is withheld is not kept, and no name of ours is asked, though our releases need more."""
    with site(folder.folder, folder.upstream, "none") as ours:
        made = make_wheel("acme-tool", "1.0", headers=needs("leaf<2", "acme-secret"))
        assert ours.upload(made, "acme-tool", auth=("admin", "correct horse battery")).is_success
    folder.variables |= {
        "PYPICLOUD_RULES__RESERVED": "acme-*",
        "PYPICLOUD_RULES__ONLY_WHEELS": "leaf",
    }
    done = folder.told("sync", "acme-tool", "--platform", "none", code=1)
    assert folder.kept() == {"leaf-1.0-py3-none-any.whl"}
    assert done["refused"] == 1
    assert [line.partition(":")[0] for line in done["failed"]] == ["acme-secret"]
    assert folder.upstream.paths("acme") == []


def test_an_offline_index_lists_what_is_kept_alone(folder: Folder) -> None:
    """So that installers choose what they can have; nobody is asked."""
    folder.told("sync", "app", "--newest", "1", "--platform", "none")
    folder.upstream.asked.clear()
    with offline(folder) as index:
        assert set(listed(index, "leaf")) == {"leaf-1.0-py3-none-any.whl", "leaf-1.0.tar.gz"}
        made = folder.upstream.projects["lib"]["lib-1.5-py3-none-any.whl"].made
        fetched(index, "lib", made)
        metadata = index.ask("GET", f"/files/lib/{made.filename}.metadata")
        assert metadata.content == core_metadata(made)
        assert index.ask("GET", "/simple/extra/").status_code == 503
    assert folder.upstream.asked == []


def test_an_archive_carries_files_and_pages(folder: Folder, tmp_path: Path) -> None:
    """What one service kept another one serves, without ever having asked an upstream."""
    folder.told("sync", "app", "leaf", "--newest", "1")
    archive = tmp_path / "mirror.tar"
    out = folder.told("export", str(archive))
    assert (out["files"], out["pages"]) == (len(folder.kept()), 3)
    assert folder.told("export", str(tmp_path / "later.tar"), "--since", "2999-01-01")["files"] == 0
    assert folder.told("export", str(tmp_path / "some.tar"), "le*")["pages"] == 1
    folder.upstream.asked.clear()
    other = Folder(tmp_path / "other", folder.upstream, PYPICLOUD_OFFLINE="true")
    with offline(other) as index:
        taken = other.told("import", str(archive))
        assert (taken["files"], taken["pages"], taken["left"]) == (out["files"], 3, [])
        assert other.kept() == folder.kept()
        for name in ("app", "lib"):
            for filename, one in folder.upstream.projects[name].items():
                if filename in listed(index, name):
                    fetched(index, name, one.made)
    assert other.told("import", str(archive))["here"] == out["files"]
    assert folder.upstream.asked == []


def test_an_archive_is_not_believed(folder: Folder, tmp_path: Path) -> None:
    """Other bytes than described, names of ours, and what is no archive are left out."""
    folder.told("sync", "leaf==1.0", "--no-tree")
    whole = tmp_path / "whole.tar"
    folder.told("export", str(whole))
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(whole.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05"))
    other = Folder(tmp_path / "other", folder.upstream)
    assert len(other.told("import", str(damaged), code=1)["left"]) == 2
    assert other.kept() == {"leaf-1.0.tar.gz"}
    other.variables["PYPICLOUD_RULES__RESERVED"] = "leaf"
    left = other.told("import", str(whole), code=1)["left"]
    assert {line.partition(": ")[2] for line in left} == {"leaf is ours", "it is ours"}
    for number, member in enumerate(("../../evil", "files/leaf/leaf-1.0.tar.gz", "kept/a/../b")):
        evil = tmp_path / f"evil{number}.tar"
        with tarfile.open(evil, "w") as tar:
            tar.addfile(tarfile.TarInfo(member))
        assert other.run("import", str(evil)).exit_code == 2, member
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:700])
    for path in (cut, tmp_path / "nothing.tar"):
        ran = other.run("import", str(path))
        assert (ran.exit_code, ran.stderr.count("\n")) == (2, 1), path


def test_what_no_file_stands_for_is_removed(folder: Folder) -> None:
    """Bytes of attempts that ended badly long ago, and files under names that became ours."""
    folder.told("sync", "leaf==1.0", "--no-tree", "--no-sdists")
    files = folder.folder / "packages" / "upstream" / "files" / "leaf"
    old = files / "01HQ0000000000000000000000"
    old.mkdir()
    (old / "leaf-1.0-py3-none-any.whl").write_bytes(b"half of it")
    assert folder.told("clean") == {"orphans": 1, "ours": 0}
    assert old.exists()
    assert folder.told("clean", "--apply")["orphans"] == 1
    assert not (old / "leaf-1.0-py3-none-any.whl").exists()
    assert len(folder.kept()) == 2
    held = folder.folder / "packages" / "upstream" / "turns"
    held.mkdir(parents=True, exist_ok=True)
    for name, age in (("old", 90_000), ("new", 60)):
        (held / name).write_bytes(b"{}")
        os.utime(held / name, times=(time.time() - age,) * 2)
    assert folder.told("clean") == {"orphans": 1, "ours": 0}
    assert folder.told("clean", "--apply") == {"orphans": 1, "ours": 0}
    assert [path.name for path in held.iterdir()] == ["new"]
    folder.variables["PYPICLOUD_RULES__RESERVED"] = "leaf"
    assert folder.told("clean", "--apply") == {"orphans": 0, "ours": 2}
    assert folder.kept() == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync",),
        ("sync", "demo @ https://x.example/demo.whl"),
        ("sync", "de mo"),
        ("sync", "-r", "nowhere.txt"),
        ("sync", "-r", "bad.lock"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_2(folder: Folder, arguments: tuple[str, ...]) -> None:
    """Before anybody is asked."""
    (folder.folder / "bad.lock").write_text("[metadata]\n")
    ran = folder.run(*arguments)
    assert (ran.exit_code, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert folder.upstream.asked == []


def test_without_an_upstream_there_is_nothing_to_mirror(folder: Folder) -> None:
    """One line that names the setting."""
    folder.variables |= {"PYPICLOUD_FALLBACK": "none", "PYPICLOUD_UPSTREAM": ""}
    ran = folder.run("sync", "demo")
    assert ran.exit_code == 2
    assert "PYPICLOUD_UPSTREAM" in ran.stderr
