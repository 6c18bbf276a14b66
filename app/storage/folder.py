"""Keys as files below one folder: the blocking half of ``file:``.

Everything goes by descriptors of folders, never by whole paths. So no symbolic link is
followed, and a folder that somebody removed while it was empty is noticed: nothing can be
added to a dead one.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import accumulate

from app import errors
from app.models import Stored
from app.storage import keys
from app.storage.descriptor import FOLDER, Descriptor

CHUNK = 2**20
KNOWN_FOLDERS = 128
ATTEMPTS = 1000
"""How often others may remove the folder that a key is about to be put into."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_VANISHED = {errno.ENOENT, errno.ESTALE}


Place = Callable[[Descriptor, str], bool]
"""Puts a flushed file into a folder under a name: whether it did."""

Fresh = tuple[Descriptor, str, Descriptor]
"""A folder's parent, its path below the root, and itself."""


class Folder:
    """Keys and bytes below ``root``, to be called in threads. Failures are OSErrors."""

    def __init__(self, root: Descriptor) -> None:
        self.root = root
        self._lock = threading.Lock()
        # Folders whose names, up to the root, survive a power cut. The descriptor tells
        # the folder that we know from another that took its place.
        self._durable: OrderedDict[str, Descriptor] = OrderedDict()

    def add(self, key: str, file: Descriptor, place: Place) -> bool:
        """Flush ``file``, place it where ``key`` says, flush that; what ``place`` answered.

        The names of new folders are flushed before the file is to be seen. Whoever did not
        get the key may rely on it as well: what holds it is flushed too.
        """
        path, _, name = key.rpartition("/")
        for _ in range(ATTEMPTS):
            try:
                folder, fresh = self._make(path)
                file.sync()
                for above, _, _ in fresh:
                    above.sync()
                placed = place(folder, name)
            except OSError as error:
                if error.errno not in _VANISHED:
                    raise
                self._forget(_ancestry(path))
                continue
            folder.sync()
            self._remember(fresh)
            return placed
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def open(self, key: str, start: int, end: int | None) -> tuple[Descriptor, int, bytes]:
        """The file, where the range ends in it, and the first CHUNK bytes of the range."""
        try:
            folder, name = self.parent(key)
            file = Descriptor(os.open(name, _READ, dir_fd=folder.fd))
        except OSError as error:
            self._require_absence(error)
            raise errors.KeyNotFound(key) from None
        found = os.fstat(file.fd)
        if not stat.S_ISREG(found.st_mode):
            raise errors.KeyNotFound(key)
        stop = found.st_size if end is None else min(end, found.st_size)
        return file, stop, read(key, file, start, stop)

    def head(self, key: str) -> Stored | None:
        """What is known of the key; None for whatever is not a regular file."""
        try:
            folder, name = self.parent(key)
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        except OSError as error:
            self._require_absence(error)
            return None
        return _stored(key, found) if stat.S_ISREG(found.st_mode) else None

    def delete(self, key: str) -> None:
        """Remove the key and the folders that this leaves empty, save those in the root."""
        try:
            folder, name = self.parent(key)
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                os.unlink(name, dir_fd=folder.fd)
        except OSError as error:
            self._require_absence(error)
        path = key.rpartition("/")[0]
        while "/" in path:
            try:
                folder, name = self.parent(path)
                os.rmdir(name, dir_fd=folder.fd)
            except OSError:
                return  # not empty, or gone already; one that stays harms nobody
            self._forget([path])
            path = path.rpartition("/")[0]

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove the keys; the first error comes after all were tried."""
        failed: OSError | None = None
        for key in keys:
            try:
                self.delete(key)
            except OSError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def scan(self, prefix: str) -> Iterator[Stored]:
        """Every key that starts with ``prefix``, in ascending order."""
        path, slash, start = prefix.rpartition("/")
        try:
            # Not the root's own descriptor: two threads would share its place in the list.
            top = Descriptor(os.open(".", FOLDER, dir_fd=self.root.fd))
            folder = _walk(top, path)
        except OSError as error:
            self._require_absence(error)
            return
        yield from _below(folder, path + slash, start)
        self._require_root()

    def parent(self, key: str) -> tuple[Descriptor, str]:
        """The folder that holds the key, and the key's name in it."""
        path, _, name = key.rpartition("/")
        return _walk(self.root, path), name

    def _make(self, path: str) -> tuple[Descriptor, list[Fresh]]:
        """The folder, and which of it and its ancestors are not known to be durable."""
        folder = self.root
        fresh: list[Fresh] = []
        for known in _ancestry(path):
            below = self._remembered(known)
            if below is None:
                below = _made(folder, known.rpartition("/")[2])
                fresh.append((folder, known, below))
            folder = below
        return folder, fresh

    def _remembered(self, path: str) -> Descriptor | None:
        with self._lock:
            found = self._durable.get(path)
            if found is not None:
                self._durable.move_to_end(path)
            return found

    def _remember(self, fresh: Sequence[Fresh]) -> None:
        with self._lock:
            for _, path, folder in fresh:
                self._durable[path] = folder
            while len(self._durable) > KNOWN_FOLDERS:
                self._durable.popitem(last=False)

    def _forget(self, paths: Iterable[str]) -> None:
        with self._lock:
            for path in paths:
                self._durable.pop(path, None)

    def _require_absence(self, error: OSError) -> None:
        """Raise the error unless it proves that the key is not there."""
        if error.errno not in _ABSENT:
            raise error
        self._require_root()

    def _require_root(self) -> None:
        if os.fstat(self.root.fd).st_nlink == 0:
            raise OSError(errno.ESTALE, "the folder itself was removed")


def read(key: str, file: Descriptor, position: int, stop: int) -> bytes:
    """The next CHUNK bytes before ``stop``; errors.BlobDamaged where they are gone."""
    length = max(0, min(CHUNK, stop - position))
    chunk = os.pread(file.fd, length, position) if length else b""
    if len(chunk) < length:
        raise errors.BlobDamaged(f"{key}: the file became shorter while it was read")
    return chunk


def _ancestry(path: str) -> Iterator[str]:
    """``a``, ``a/b`` and ``a/b/c`` of ``a/b/c``."""
    return accumulate(path.split("/") if path else (), "{}/{}".format)


def _walk(folder: Descriptor, path: str) -> Descriptor:
    for segment in path.split("/") if path else ():
        folder = Descriptor(os.open(segment, FOLDER, dir_fd=folder.fd))
    return folder


def _made(parent: Descriptor, name: str) -> Descriptor:
    try:
        return _walk(parent, name)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent.fd)
        return _walk(parent, name)


def _below(folder: Descriptor, path: str, start: str) -> Iterator[Stored]:
    """The keys of the folder at ``path`` whose rest begins with ``start``, in order."""
    for name in sorted(_names(folder, start)):
        if not keys.is_segment(name.removesuffix("/")) or (path + name).startswith("."):
            continue  # not ours: no key looks like that
        try:
            if name.endswith("/"):
                below = _walk(folder, name[:-1])
            else:
                found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone since it was listed
        if name.endswith("/"):
            yield from _below(below, path + name, "")
        elif stat.S_ISREG(found.st_mode):
            yield _stored(path + name, found)


def _names(folder: Descriptor, start: str) -> list[str]:
    """Files and, with a slash behind them, folders: thus ``a-b`` sorts before ``a/b``."""
    names: list[str] = []
    with suppress(FileNotFoundError), os.scandir(folder.fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                names.append(f"{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    return [name for name in names if name.startswith(start)]


def _stored(key: str, found: os.stat_result) -> Stored:
    return Stored(
        key=key,
        size=found.st_size,
        modified=datetime.fromtimestamp(found.st_mtime, UTC),
        etag=f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}",
    )
