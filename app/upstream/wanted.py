"""A file of an upstream, as whoever asks for it means it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from app.upstream.client import Client
from app.upstream.entries import Entry

LONGEST = 4096
"""Characters of a path that stands in a URL of ours."""
_ORDINARY = (
    r"(?:[A-Za-z0-9_~!$&'()*+,=:@-]|%2[0-9A-Da-d]|%3[0-9AaC-Fc-f]|%[46][0-9A-Fa-f]"
    r"|%5[0-9ABabD-Fd-f]|%7[0-9A-Ea-e])"
)
_SEGMENT = rf"{_ORDINARY}(?:{_ORDINARY}|\.|%2[Ee])*+"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file, of which project, and who has it."""

    client: Client
    name: NormalizedName
    entry: Entry

    @property
    def path(self) -> str | None:
        """Where it lies there, as its URL writes it, without the first slash.

        None for what the guard takes from nobody: with a slash in a segment, for instance.
        """
        path = urlsplit(self.entry.url).path.lstrip("/")
        return path if len(path) <= LONGEST and _PATH.match(path) else None
