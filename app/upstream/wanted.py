"""A file of an upstream, as whoever asks for it means it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from app.upstream.client import Client
from app.upstream.entries import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file, of which project, and who has it."""

    client: Client
    name: NormalizedName
    entry: Entry

    @property
    def path(self) -> str:
        """Where it lies there, as its URL writes it, without the first slash."""
        return urlsplit(self.entry.url).path.lstrip("/")
