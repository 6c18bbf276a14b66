"""The form as a push parser's client: bytes in, fields and a spooled file out. It blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from multipart import (  # type: ignore[import-untyped]  # it ships no types
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from app import errors
from app.upload import parameters
from app.upload.filenames import check_spelling
from app.upload.framing import Framing
from app.upload.spool import Spool, Spooled, check_size

_PARTS = 20_000
_HEADERS = 6
_HEADER_SIZE = 2_048
CONTENT = "content"
# Files of fields that clients send and that this index does not keep.
_IGNORED_FILES = frozenset({"gpg_signature"})
# Read twice they could be read two ways; all others are lists, or are not read at all.
_SINGLE = frozenset(
    {
        ":action",
        "protocol_version",
        "filetype",
        "pyversion",
        "metadata_version",
        "name",
        "version",
        "sha256_digest",
        "blake2_256_digest",
        "md5_digest",
        "comment",
    }
)


class Reader:
    """Reads one form. Its methods may run in any thread, one after the other.

    All of them raise errors.InvalidUpload for a malformed form and errors.TooLarge.
    """

    def __init__(
        self, boundary: str, *, spool: Path, max_file_size: int, max_form_size: int
    ) -> None:
        self._framing = Framing(boundary.encode())
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=_HEADER_SIZE,
            max_header_count=_HEADERS,
            max_segment_count=_PARTS,
            strict=True,
        )
        self._events: Iterator[MultipartSegment | bytes | None] = iter(())
        self._directory = spool
        self._max_file_size = max_file_size
        self._max_form_size = max_form_size
        self._form_size = 0
        self._fields: dict[str, list[str]] = {}
        self._part: parameters.Part | None = None
        self._value: list[bytes] = []
        self._spool: Spool | None = None
        self._filename: str | None = None
        self._lock = Lock()
        self._discarded = False
        self.in_content = False

    def fields(self) -> MappingProxyType[str, tuple[str, ...]]:
        """The fields read so far."""
        return MappingProxyType({name: tuple(values) for name, values in self._fields.items()})

    def feed(self, batch: bytes) -> bool:
        """Read a batch. True: the file begins here, and ``resume`` must be called to go on."""
        with self._lock:
            if self._discarded:
                return False
            inner = self._framing.take(batch)
            if not inner:
                return False
            self._events = self._parser.parse(inner)
            return self._advance()

    def resume(self) -> None:
        """Go on after ``feed`` has stopped before the file."""
        with self._lock:
            if not self._discarded:
                self._spool = Spool(self._directory, limit=self._max_file_size)
                self._advance()

    def finish(self) -> Spooled | None:
        """The file, once every byte was fed; None for a form without one."""
        with self._lock:
            if not self._framing.ended:
                raise errors.InvalidUpload(
                    "The form is incomplete: its last multipart boundary is missing."
                )
            try:
                self._parser.close()
            except MultipartError as error:
                raise _malformed(error) from error
            if self._spool is None or self._filename is None:
                return None
            return self._spool.finish(self._filename)

    def discard(self) -> None:
        """Remove what was written; nothing is written afterwards."""
        with self._lock:
            self._discarded = True
            if self._spool is not None:
                self._spool.discard()

    def _advance(self) -> bool:
        try:
            for event in self._events:
                if isinstance(event, MultipartSegment):
                    if self._begin(parameters.part(event.headerlist)):
                        return True
                elif event:
                    self._add(event)
                else:
                    self._end()
        except MultipartError as error:
            raise _malformed(error) from error
        return False

    def _begin(self, part: parameters.Part) -> bool:
        """Take the headers of a part. True for the file."""
        self._part, self._value = part, []
        if part.name == CONTENT:
            check_content(part, repeated=self._filename is not None)
            check_size(part.length or 0, self._max_file_size)
            self._filename = part.filename
            self.in_content = True
            return True
        if part.filename is not None and part.name not in _IGNORED_FILES:
            raise errors.InvalidUpload(f"{part.name}: Should not be a tuple.")
        if part.name in _SINGLE and part.name in self._fields:
            raise errors.InvalidUpload(f"{part.name}: The form has this field twice.")
        return False

    def _add(self, chunk: bytes) -> None:
        if self.in_content and self._spool is not None:
            self._spool.write(chunk)
            return
        self._check_room(len(chunk))
        if self._part is not None and self._part.filename is None:
            self._value.append(chunk)

    def _check_room(self, size: int) -> None:
        self._form_size += size
        if self._form_size > self._max_form_size:
            raise errors.TooLarge(
                f"The fields of the form are too large. The limit is {self._max_form_size:,} bytes."
            )

    def _end(self) -> None:
        part, self._part = self._part, None
        if self.in_content:
            self.in_content = False
        elif part is not None and part.filename is None:
            try:
                text = b"".join(self._value).decode()
            except UnicodeDecodeError as error:
                raise errors.InvalidUpload(f"{part.name}: This is not UTF-8.") from error
            self._fields.setdefault(part.name, []).append(text)


def check_content(part: parameters.Part, *, repeated: bool) -> None:
    """The file is one, and has a filename that is a filename and no path (NAM-9)."""
    if repeated:
        raise errors.InvalidUpload("content: The form has two files; upload them one by one.")
    if not part.filename:
        raise errors.InvalidUpload("Upload payload does not have a file: content has no filename.")
    check_spelling(part.filename)


def _malformed(error: MultipartError) -> errors.InvalidUpload:
    # Only the parser's own words: what follows them may be what the client sent.
    return errors.InvalidUpload(f"The form is malformed: {error.args[0]}.")
