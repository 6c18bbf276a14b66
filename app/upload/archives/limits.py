"""How much of everything an archive may have."""

from __future__ import annotations


class Limits:
    """Counts, and sizes in bytes. The defaults are those of the strict profile.

    ``members``   files and directories
    ``metadata``  METADATA or PKG-INFO
    ``record``    RECORD
    ``text``      WHEEL and entry_points.txt, each
    ``free``      unpacked bytes that are fine whatever the ratio
    ``ratio``     unpacked bytes for each packed one, above ``free``
    ``pax``       one extended header or long name of a tar archive
    ``names``     names told of, beside those that License-File claims
    """

    __slots__ = ("free", "members", "metadata", "names", "pax", "ratio", "record", "text")

    def __init__(
        self,
        *,
        members: int = 20_000,
        metadata: int = 8 << 20,
        record: int = 16 << 20,
        text: int = 1 << 20,
        free: int = 64 << 20,
        ratio: int = 50,
        pax: int = 64 << 10,
        names: int = 1_000,
    ) -> None:
        self.members = members
        self.metadata = metadata
        self.record = record
        self.text = text
        self.free = free
        self.ratio = ratio
        self.pax = pax
        self.names = names

    def to_dict(self) -> dict[str, int]:
        """The limits as the keywords that make them again."""
        return {name: getattr(self, name) for name in self.__slots__}

    def unpacked(self, length: int) -> int:
        """How many bytes an archive of ``length`` bytes may unpack to."""
        return max(self.free, self.ratio * length)
