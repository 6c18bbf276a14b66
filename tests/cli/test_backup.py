"""``backup``, ``restore-backup``, ``stats`` and ``gc`` on real folders."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from tests.cli.running import Desk
from tests.factories import make_wheel

pytestmark = pytest.mark.timeout(600)  # many commands, and machines may be busy

PASSWORD = "a fine long passphrase"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An index with two projects, a user, a grant and a token."""
    (tmp_path / "settings.toml").write_text(
        f'storage = "file:{tmp_path}/packages"\n'
        f'cache = "sqlite+aiosqlite:///{tmp_path}/cache.db"\n'
        f'access = "sqlite+aiosqlite:///{tmp_path}/access.db"\n'
        f'spool = "{tmp_path}/spool"\ndelete_grace = "1 s"\n'
    )
    desk = Desk(tmp_path, {"PYPICLOUD_CONFIG": str(tmp_path / "settings.toml")})
    for name in ("demo", "other"):
        made = make_wheel(name, "1.0")
        (tmp_path / "dist").mkdir(exist_ok=True)
        (tmp_path / "dist" / made.filename).write_bytes(made.content)
    desk.done("migrate", "folder", "dist")
    ran = desk.run("user", "add", "ada", "--password-stdin", input=PASSWORD)
    assert ran.returncode == 0, ran.stderr
    desk.done("grant", "set", "demo", "user:ada", "read")
    return desk


def test_lost_and_brought_back(desk: Desk) -> None:
    """With the bytes and a backup all is as it was; what is there is not written over."""
    made = desk.done("token", "create", "ada", "--name", "ci", "--permission", "read")
    backed = desk.json("backup", "all.tar.gz")
    assert (backed["users"], backed["tokens"]) == (1, 1)
    archive = desk.folder / "all.tar.gz"
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as kept:
        names = kept.getnames()
        texts = [kept.extractfile(name).read() for name in names]  # type: ignore[union-attr]
    assert "settings.toml" in names
    assert not any(name.startswith("storage/blobs") for name in names)
    assert not any(word.encode() in text for text in texts for word in (PASSWORD, made.split()[-1]))
    before = desk.json("check", "--deep")
    shutil.rmtree(desk.folder / "packages" / "journal")
    for lost in ("cache.db", "access.db"):
        for path in desk.folder.glob(f"{lost}*"):
            path.unlink()
    tried = desk.json("restore-backup", "all.tar.gz", "--dry-run")
    assert tried["records"] == 4
    assert not (desk.folder / "packages" / "journal").exists()
    desk.json("restore-backup", "all.tar.gz")
    assert desk.json("check", "--deep") == before
    assert desk.done("grant", "list", "demo") == "user:ada  read\n"
    assert "ci" in desk.done("token", "list")
    again = desk.done("restore-backup", "all.tar.gz")
    assert again == "Nothing was missing.\n"


def test_what_differs_is_left(desk: Desk) -> None:
    """A record that says something else than the backup stays, and is named."""
    desk.done("backup", "all.tar.gz")
    (record,) = (desk.folder / "packages" / "journal" / "demo").glob("*.whl/0000000001.json")
    changed = record.read_bytes().replace(b"demo", b"demp", 1)
    record.chmod(0o600)
    record.write_bytes(changed)
    ran = desk.run("restore-backup", "all.tar.gz", "--dry-run")
    assert ran.returncode == 1
    assert "left as it is: journal/demo/" in ran.stdout
    assert record.read_bytes() == changed


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
def test_no_backup(desk: Desk, content: bytes) -> None:
    """What is no backup is refused in one line."""
    (desk.folder / "bad").write_bytes(content)
    assert "is no backup" in desk.refused("restore-backup", "bad")


def test_counts_and_collection(desk: Desk) -> None:
    """What was deleted is counted, shown by a dry run, and gone after --apply."""
    shown = desk.json("stats")
    assert (shown["projects"], shown["files"], shown["recent"]) == (2, 2, 2)
    assert shown["kinds"] == {"bdist_wheel": 2}
    assert "2 projects, 2 releases, 2 files" in desk.done("stats")
    desk.done("delete", "demo", "1.0", "--yes")
    assert desk.json("stats")["deleted"] == 1
    later = desk.having(PYPICLOUD_DELETE_GRACE="0.001 s")
    tried = later.json("gc")
    assert (tried["applied"], tried["purged"], tried["size"] > 0) == (False, 1, True)
    assert later.json("gc") == tried
    assert "Nothing was removed; remove with --apply." in later.done("gc")
    assert later.json("gc", "--apply")["purged"] == 1
    assert later.json("gc", "--apply")["purged"] == 0
    assert not list((desk.folder / "packages" / "blobs" / "demo").rglob("*.whl"))
