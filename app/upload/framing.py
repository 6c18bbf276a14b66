"""Where a multipart body begins and ends, however it is cut into chunks.

The push parser sees one chunk at a time, so whether it minds bytes before the first or
after the last boundary depends on the cuts. This decides before it.
"""

from __future__ import annotations

from app import errors


class Framing:
    """Passes on the bytes from the first boundary to the last, and refuses all others.

    A CRLF before and one after are let through: the first as an old client (distutils)
    sends it, the second as RFC 2046 has it.
    """

    def __init__(self, boundary: bytes) -> None:
        self._opening = b"--" + boundary
        self._closing = b"\r\n--" + boundary + b"--"
        self._held = b""
        self._opened = False
        self._epilogue = b""
        self.ended = False

    def take(self, chunk: bytes) -> bytes:
        """The bytes to parse; the last few of a chunk are held back until the next one.

        Raises errors.InvalidUpload for bytes outside the boundaries and for an empty form.
        """
        if self.ended:
            self._follow(chunk)
            return b""
        waiting = self._held + chunk
        if not self._opened:
            if len(waiting) < len(self._opening) + 4:
                self._held = waiting
                return b""
            waiting = self._open(waiting)
        index = waiting.find(self._closing)
        if index < 0:
            cut = len(waiting) - len(self._closing) + 1
            self._held = waiting[max(cut, 0) :]
            return waiting[: max(cut, 0)]
        end = index + len(self._closing)
        self.ended, self._held = True, b""
        self._follow(waiting[end:])
        return waiting[:end]

    def _open(self, waiting: bytes) -> bytes:
        waiting = waiting.removeprefix(b"\r\n")
        if not waiting.startswith(self._opening + b"\r\n"):
            raise errors.InvalidUpload("The form does not begin with its multipart boundary.")
        self._opened = True
        return waiting

    def _follow(self, chunk: bytes) -> None:
        self._epilogue += chunk[:3]
        if not b"\r\n".startswith(self._epilogue):
            raise errors.InvalidUpload("The form goes on after its last multipart boundary.")
