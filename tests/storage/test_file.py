"""What is special about a storage in a folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from app import errors
from app.storage.file import WORTH_TAKING, FileStorage, connect
from app.storage.folder import KNOWN_FOLDERS
from app.storage.whole import WholeFile
from app.testing.storage import content, listed, put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the storage is."""
    return tmp_path / "storage"


@pytest.fixture
async def storage(folder: Path) -> AsyncIterator[FileStorage]:
    """An empty storage in a folder."""
    async with connect(f"file:{folder}", {}) as found:
        yield found


def names(path: Path) -> list[str]:
    """What lies in a folder of the disk."""
    return sorted(entry.name for entry in path.iterdir())


def open_files() -> int:
    """How many file descriptors this process holds."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:data/packages", "data/packages"),
        ("file:./data", "data"),
        ("file:with%20percent", "with%20percent"),
        ("file:{here}/absolute", "absolute"),
        ("file://{here}/three/slashes", "three/slashes"),
        ("file://localhost{here}/with/host", "with/host"),
        ("file://{here}/percent%20encoded", "percent encoded"),
    ],
)
async def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    """A URL names a relative or an absolute path; the folder is made."""
    monkeypatch.chdir(tmp_path)
    async with connect(url.format(here=tmp_path), {}) as storage:
        assert await storage.create("a/b", b"content")
    assert (tmp_path / path / "a" / "b").read_bytes() == b"content"


@pytest.mark.parametrize(
    "url", ["file:", "file://", "file:///", "file://server/share", "file:a\0b"]
)
async def test_urls_without_a_folder(url: str) -> None:
    """A URL that names no folder of this machine is refused, and the message quotes it."""
    with pytest.raises(errors.Misconfigured, match="names"):
        await connect(url, {}).__aenter__()


async def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A path that is a file, or leads through one, is refused with a line that names it."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.Misconfigured, match=f"{path} cannot be used: Not a dir"):
            await connect(f"file:{path}", {}).__aenter__()


async def test_a_key_is_a_path(storage: FileStorage, folder: Path) -> None:
    """The file of a key lies at the key's path, so that any tool can read a backup."""
    await put(storage, "blobs/x/01/x-1.0.tar.gz", b"content")
    assert (folder / "blobs/x/01/x-1.0.tar.gz").read_bytes() == b"content"


async def test_no_url(storage: FileStorage) -> None:
    """A folder has no URLs: the app streams."""
    await put(storage, "a/b", b"content")
    assert await storage.url("a/b", filename="b", expires_in=timedelta(minutes=5)) is None


async def test_delete_removes_empty_folders(storage: FileStorage, folder: Path) -> None:
    """The last key of a folder takes the folder along, but none that lies in the root."""
    for key in ("blobs/x/1/a", "blobs/x/1/b", "blobs/x/2/c"):
        await put(storage, key, b"")
    await storage.delete("blobs/x/1/a")
    assert (folder / "blobs/x/1").exists()
    await storage.delete("blobs/x/1/b")
    assert names(folder / "blobs/x") == ["2"]
    await storage.delete("blobs/x/2/c")
    assert names(folder / "blobs") == []


async def test_temporary_files_are_no_keys(storage: FileStorage, folder: Path) -> None:
    """What lies among the temporary files is never listed, and none is left by success."""
    await put(storage, "a/b", b"content")
    await put(storage, "a/b", b"again")
    assert await storage.create("a/c", b"content")
    assert not await storage.create("a/c", b"again")
    (folder / ".tmp" / "half").write_bytes(b"half")
    assert await listed(storage) == ["a/b", "a/c"]
    async with asyncio.timeout(5):
        while names(folder / ".tmp") != ["half"]:
            await asyncio.sleep(0.01)


async def test_temporary_folder_removed(storage: FileStorage, folder: Path) -> None:
    """Somebody who cleans up the temporary folder disturbs nobody."""
    (folder / ".tmp").rmdir()
    await asyncio.gather(*(storage.create(f"a/{n}", b"") for n in range(16)))
    (folder / ".tmp").rmdir()
    await put(storage, "b", b"content")
    assert len(await listed(storage)) == 17


async def test_symbolic_links_are_not_followed(
    storage: FileStorage, folder: Path, tmp_path: Path
) -> None:
    """Nothing outside of the root is listed, read, written or deleted through a link."""
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "secret").write_bytes(b"secret")
    (folder / "a").symlink_to(outside)
    (folder / "secret").symlink_to(outside / "secret")
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    assert await listed(storage) == []
    assert await listed(storage, "a/") == []
    for key in ("a/secret", "secret", "dangling"):
        assert await storage.head(key) is None
        with pytest.raises(errors.KeyNotFound):
            await anext(storage.get(key))
        await storage.delete(key)
    for key in ("a/new", "a/b/new", "secret", "dangling"):
        with pytest.raises(errors.StorageUnavailable):
            await storage.create(key, b"new")
    for key in ("a/new", "a/b/new"):
        with pytest.raises(errors.StorageUnavailable):
            await put(storage, key, b"new")
    await put(storage, "secret", b"new")
    assert (outside / "secret").read_bytes() == b"secret"
    assert names(outside) == ["b", "secret"]
    assert names(outside / "b") == []


async def test_strange_files_are_no_keys(storage: FileStorage, folder: Path) -> None:
    """Names outside of the grammar, and pipes, are passed over, and nothing hangs."""
    await put(storage, "a/b", b"content")
    for name in ("grüße", "back\\slash", "new\nline", ".hidden"):
        (folder / name).write_bytes(b"")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(b"")
    os.mkfifo(folder / "pipe")
    assert await listed(storage) == ["a/b"]
    assert await storage.head("pipe") is None
    with pytest.raises(errors.KeyNotFound):
        await anext(storage.get("pipe"))


async def test_a_key_cannot_lie_below_a_key(storage: FileStorage) -> None:
    """A folder cannot be a file as well: that is refused, and never passes for a success."""
    await put(storage, "a/b", b"content")
    for key in ("a", "a/b/c"):
        with pytest.raises(errors.StorageUnavailable, match="directory"):
            await storage.create(key, b"new")
        with pytest.raises(errors.StorageUnavailable):
            await put(storage, key, b"new")
    assert await listed(storage) == ["a/b"]
    assert await content(storage, "a/b") == b"content"


async def test_a_file_that_becomes_shorter(storage: FileStorage, folder: Path) -> None:
    """A body whose file is cut off meanwhile ends in an error, not as if it were whole."""
    await put(storage, "a/b", b"x" * 3 * 2**20)
    body = storage.get("a/b")
    assert len(await anext(body)) == 2**20
    os.truncate(folder / "a" / "b", 2**20 + 5)
    with pytest.raises(errors.BlobDamaged, match="a/b"):
        await anext(body)


async def test_a_removed_root(storage: FileStorage, folder: Path) -> None:
    """Without its folder the storage is unavailable; it does not say that there are no keys."""
    await put(storage, "a/b", b"content")
    shutil.rmtree(folder)
    with pytest.raises(errors.StorageUnavailable):
        await storage.head("a/b")
    with pytest.raises(errors.StorageUnavailable):
        await anext(storage.get("a/b"))
    for prefix in ("", "a", "a/", "b/"):
        with pytest.raises(errors.StorageUnavailable):
            await listed(storage, prefix)
    for key in ("a/b", "c"):
        with pytest.raises(errors.StorageUnavailable):
            await storage.delete(key)
        with pytest.raises(errors.StorageUnavailable):
            await storage.create(key, b"new")
        with pytest.raises(errors.StorageUnavailable):
            await put(storage, key, b"new")
    assert not folder.exists()


async def test_open_files_are_bounded(folder: Path) -> None:
    """However many folders are written to and reads given up, few files stay open; at the
    end none.
    """
    before = open_files()
    async with connect(f"file:{folder}", {}) as storage:
        for turn in range(4):
            keys = [f"a/{turn}-{n}/key" for n in range(100)]
            await asyncio.gather(*(put(storage, key, b"x" * 2**20 * 2) for key in keys[:2]))
            await asyncio.gather(*(storage.create(key, b"") for key in keys[2:]))
            for key in keys[:2]:
                async for _ in storage.get(key):
                    break
        assert open_files() <= before + KNOWN_FOLDERS + 16
    del storage
    assert open_files() <= before


@pytest.mark.parametrize(("size", "taken"), [(WORTH_TAKING, True), (WORTH_TAKING - 1, False)])
async def test_a_large_file_is_taken_over(
    storage: FileStorage, folder: Path, tmp_path: Path, size: int, taken: bool
) -> None:
    """Not copied, but given a second name; with the rights that every file gets, not its own."""
    source = tmp_path / "source"
    source.write_bytes(b"x" * size)
    source.chmod(0o600)
    await put_file(storage, source)
    await put(storage, "a/c", b"copied")
    kept = (folder / "a" / "b").stat()
    assert (kept.st_ino == source.stat().st_ino) == taken
    assert kept.st_mode == (folder / "a" / "c").stat().st_mode
    source.unlink()
    assert await content(storage, "a/b") == b"x" * size
    assert names(folder / ".tmp") == []


@pytest.mark.parametrize("size", [WORTH_TAKING, WORTH_TAKING - 1])
async def test_a_file_without_a_name_gets_one(
    storage: FileStorage, folder: Path, tmp_path: Path, size: int
) -> None:
    """Where it is large enough; another one is copied. Either stays when its opener closes it."""
    descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.write(descriptor, b"x" * size)
        await put_file(storage, descriptor)
        assert os.fstat(descriptor).st_nlink == (size >= WORTH_TAKING)
    finally:
        os.close(descriptor)
    assert await content(storage, "a/b") == b"x" * size
    assert names(folder / ".tmp") == []


async def test_a_file_of_another_file_system_is_copied(storage: FileStorage) -> None:
    """The spool may lie elsewhere."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        source = Path(elsewhere, "source")
        source.write_bytes(b"x" * WORTH_TAKING)
        await put_file(storage, source)
    assert await content(storage, "a/b") == b"x" * WORTH_TAKING


async def test_a_link_is_not_taken_over(storage: FileStorage, folder: Path, tmp_path: Path) -> None:
    """What it leads to may be changed by others."""
    real, source = tmp_path / "real", tmp_path / "source"
    real.write_bytes(b"x" * WORTH_TAKING)
    source.symlink_to(real)
    await put_file(storage, source)
    kept = folder / "a" / "b"
    assert not kept.is_symlink()
    assert kept.stat().st_ino != real.stat().st_ino


async def put_file(storage: FileStorage, source: Path | int) -> None:
    """Put a whole file to ``a/b``."""
    path = Path(f"/proc/self/fd/{source}") if isinstance(source, int) else source
    whole = path.read_bytes()
    sha256 = hashlib.sha256(whole).hexdigest()
    async with aclosing(WholeFile(source)) as chunks:
        await storage.put("a/b", chunks, size=len(whole), sha256=sha256)
