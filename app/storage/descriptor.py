"""Files and folders by descriptor, as the file backend works with them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How folders below the root are opened."""


class Descriptor:
    """A file descriptor, closed when the last thread that works with it lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)

    def sync(self) -> None:
        """Return when what was written so far survives a power cut."""
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(self.fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(self.fd)


def link(source: Descriptor, path: str, target: Descriptor, name: str) -> None:
    """A second name for a file; FileExistsError where something has it."""
    os.link(path, name, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False)


def remove(folder: Descriptor, path: str) -> None:
    """Remove a file that may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(path, dir_fd=folder.fd)
