"""Bytes on their way to a key, in a temporary file until they are whole and flushed."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from app import errors
from app.storage.checksum import Checksum
from app.storage.descriptor import FOLDER, Descriptor, link, remove
from app.storage.folder import Folder

TEMPORARY = ".tmp"
"""Where half-written files are, below the root; no key begins with a dot."""

LEFTOVER_AGE = timedelta(days=1)
"""A temporary file that nobody wrote to for so long is a leftover."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ = os.O_RDONLY | os.O_NOFOLLOW
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


logger = logging.getLogger(__name__)


class Temporary:
    """A new file without a key; to be removed whatever becomes of it."""

    def __init__(self, root: Descriptor) -> None:
        self._root = root
        self.path = f"{TEMPORARY}/{secrets.token_hex(16)}"
        try:
            self.file = self._open()
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(TEMPORARY, dir_fd=root.fd)
            self.file = self._open()

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self.file.fd, rest) :]

    def link(self, folder: Descriptor, name: str) -> bool:
        """Give the file this name too, unless something has it."""
        try:
            link(self._root, self.path, folder, name)
        except FileExistsError:
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
            # A network file system may have made the link and lost the answer: link(2).
            return self.holds(found)
        return True

    def holds(self, found: os.stat_result) -> bool:
        """Whether ``found`` tells of this very file."""
        mine = os.fstat(self.file.fd)
        return (mine.st_dev, mine.st_ino) == (found.st_dev, found.st_ino)

    def become(self, source: Path | int) -> None:
        """Be another file of this file system, with the rights that a new one has."""
        mode = stat.S_IMODE(os.fstat(self.file.fd).st_mode)
        second = f"{self.path}.whole"
        if isinstance(source, int):  # one that never had a name: open(2), O_TMPFILE
            os.link(f"/proc/self/fd/{source}", second, dst_dir_fd=self._root.fd)
        else:
            os.link(source, second, dst_dir_fd=self._root.fd, follow_symlinks=False)
        try:
            file = Descriptor(os.open(second, _READ, dir_fd=self._root.fd))
            os.fchmod(file.fd, mode)
            os.rename(second, self.path, src_dir_fd=self._root.fd, dst_dir_fd=self._root.fd)
        except OSError:
            remove(self._root, second)
            raise
        self.file = file

    def remove(self) -> None:
        remove(self._root, self.path)

    def _open(self) -> Descriptor:
        return Descriptor(os.open(self.path, _WRITE, 0o666, dir_fd=self._root.fd))


def create(folder: Folder, key: str, content: bytes) -> bool:
    """See Storage.create."""
    temporary = Temporary(folder.root)
    try:
        temporary.write(content)
        return folder.add(key, temporary.file, temporary.link)
    finally:
        temporary.remove()


class Staged:
    """One put. Its methods run in threads; ``discard`` waits for one under way."""

    def __init__(self, folder: Folder, key: str, checksum: Checksum) -> None:
        self._folder = folder
        self._key = key
        self._checksum = checksum
        self._lock = threading.Lock()
        self._temporary: Temporary | None = None
        self._placed = False
        self._old: str | None = None
        self._over = False

    def write(self, chunks: Sequence[bytes]) -> None:
        with self._lock:
            self._write(chunks)

    def take(self, source: Path | int) -> bool:
        """Have a whole file for all of the bytes, where it can be had without copying."""
        with self._lock:
            temporary = self._open()
            try:
                temporary.become(source)
            except OSError as error:
                # Most often it lies on another file system; copying it finds out what else it is.
                logger.debug("%s is copied: %s", source, error.strerror)
                return False
            self._checksum.believe(os.fstat(temporary.file.fd).st_size)
            return True

    def publish(self, chunks: Sequence[bytes]) -> bool:
        """Write the last chunks and, if all are as promised, let the key be seen.

        True where this replaced something: ``settle`` or ``discard`` has the last word.
        """
        with self._lock:
            temporary = self._write(chunks)
            self._checksum.verify()
            self._folder.add(self._key, temporary.file, partial(self._place, temporary))
            return self._old is not None

    def settle(self) -> None:
        """Let go of the bytes that were replaced: there is no way back from here."""
        with self._lock:
            self._over = True
            if self._old is not None:
                remove(self._folder.root, self._old)

    def discard(self) -> None:
        """Leave the key as it was before."""
        with self._lock:
            if self._over or self._temporary is None:
                self._over = True
                return
            self._over = True
            try:
                if self._placed:
                    self._restore(self._temporary)
            finally:
                self._temporary.remove()
                if self._old is not None:
                    remove(self._folder.root, self._old)

    def _write(self, chunks: Sequence[bytes]) -> Temporary:
        temporary = self._open()
        for chunk in chunks:
            self._checksum.update(chunk)
            temporary.write(chunk)
        return temporary

    def _open(self) -> Temporary:
        if self._over:
            raise errors.StorageUnavailable("The upload was given up")
        if self._temporary is None:
            self._temporary = Temporary(self._folder.root)
        return self._temporary

    def _place(self, temporary: Temporary, folder: Descriptor, name: str) -> bool:
        old = f"{temporary.path}.old"
        with suppress(FileNotFoundError):
            link(folder, name, self._folder.root, old)
            self._old = old
        os.rename(temporary.path, name, src_dir_fd=self._folder.root.fd, dst_dir_fd=folder.fd)
        self._placed = True
        return True

    def _restore(self, temporary: Temporary) -> None:
        root = self._folder.root
        try:
            folder, name = self._folder.parent(self._key)
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not temporary.holds(found):
            return  # another put came after this one
        if self._old is None:
            self._folder.delete(self._key)
        else:
            os.rename(self._old, name, src_dir_fd=root.fd, dst_dir_fd=folder.fd)


def sweep(root: Descriptor) -> None:
    """Remove what dead processes left behind; others may be at work here now."""
    oldest = time.time() - LEFTOVER_AGE.total_seconds()
    try:
        folder = Descriptor(os.open(TEMPORARY, FOLDER, dir_fd=root.fd))
    except FileNotFoundError:
        return
    with os.scandir(folder.fd) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_mtime < oldest:
                    remove(folder, entry.name)


def require_links(root: Descriptor) -> None:
    """errors.Misconfigured where ``link`` is not the create-only write that we stand on.

    A full disk proves nothing; what it holds can still be read.
    """
    try:
        probe = Temporary(root)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        logger.warning("The storage folder takes no files: %s", error.strerror)
        return
    second = f"{probe.path}.probe"
    try:
        link(root, probe.path, root, second)
        link(root, probe.path, root, second)
    except FileExistsError:
        return
    except OSError as error:
        reason = error.strerror
    else:
        reason = "a second link to one name succeeded"
    finally:
        probe.remove()
        remove(root, second)
    raise errors.Misconfigured(
        f"The file system of the storage folder has no usable hard links ({reason})"
    )
