"""What members may be called, what they add up to, and how a refusal names them."""

from __future__ import annotations

import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

SHOWN = 100
NAME_LENGTH = 1_024
SEGMENT_LENGTH = 255


class Refusal(Exception):
    """The archive breaks a rule; ``str`` is the reason: one line, ASCII, bounded."""


def refuse(reason: str, *names: str | bytes) -> NoReturn:
    """Raise the Refusal, each ``{}`` of the reason filled with a name, escaped and cut."""
    raise Refusal(reason.format(*map(shown, names)))


def shown(name: str | bytes) -> str:
    """A hostile name as it may stand in an answer: quoted, ASCII, at most 100 characters."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    escaped = ascii(text[: SHOWN + 1])
    return escaped if len(escaped) <= SHOWN else escaped[: SHOWN - 4] + "..."


def decode_name(raw: bytes) -> str:
    """The member's name as text."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        refuse("the name {} is not UTF-8", raw)


def check_name(name: str) -> None:
    """A relative path of plain segments, printable, that stays below where it is unpacked."""
    if not name:
        refuse("a member has no name")
    if not name.isprintable():
        refuse("the name {} has characters that cannot be printed", name)
    if "\\" in name:
        refuse("the name {} has a backslash", name)
    if name[0] == "/":
        refuse("the name {} is absolute", name)
    if len(name.encode()) > NAME_LENGTH:
        refuse("the name {} is too long", name)
    segments = name.removesuffix("/").split("/")
    if name[1:2] == ":":
        refuse("the name {} begins with a drive", name)
    for segment in segments:
        if segment in ("", ".", ".."):
            refuse("the name {} has an empty, '.' or '..' segment", name)
        if len(segment) > SEGMENT_LENGTH:
            refuse("the name {} is too long", name)


def fold(name: str) -> str:
    """Equal for names that are one file to Windows or macOS."""
    if name.isascii():
        folded = name.lower()
    else:
        folded = unicodedata.normalize("NFC", name).casefold()
        folded = unicodedata.normalize("NFC", folded)
    if "./" in folded or " /" in folded or folded[-1:] in (".", " "):
        folded = "/".join(segment.rstrip(" .") for segment in folded.split("/"))
    return folded


class Names:
    """The names of an archive, each once; with ``strict``, once whatever the case."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._named: dict[str, str] = {}
        self._files: set[str] = set()

    def add(self, name: str, *, directory: bool = False) -> None:
        """Count a name in, without the slash at the end of a directory's."""
        key = fold(name) if self._strict else name
        known = self._named.setdefault(key, name) if key in self._named else None
        if known is None:
            self._named[key] = name
            if not directory:
                self._files.add(key)
        elif known != name:
            refuse("{} and {} are one file where case does not count", known, name)
        elif self._strict or not directory or key in self._files:
            refuse("it holds {} twice", name)

    def check_tree(self) -> None:
        """No file is a directory of another member."""
        parents: set[str] = set()
        for key in self._named:
            parent = key.rpartition("/")[0]
            while parent and parent not in parents:
                parents.add(parent)
                parent = parent.rpartition("/")[0]
        for key in parents & self._files:
            refuse("{} is a file and a directory", self._named[key])


class Budget:
    """The bytes that an archive may unpack to, counted as they appear."""

    def __init__(self, limit: int) -> None:
        self.spent = 0
        self._limit = limit

    def spend(self, count: int) -> None:
        """Count bytes; the one too many refuses the archive."""
        self.spent += count
        if self.spent > self._limit:
            refuse("it unpacks to far more than its size: a decompression bomb")
