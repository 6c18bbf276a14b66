"""Whether a storage holds files that PyPICloud left and nobody adopted: by its first keys."""

from __future__ import annotations

from app.index import adopting_names
from app.index.adopt import Adoption
from app.models import Stored
from app.storage.base import Storage

KEYS = 1000
"""Keys that are looked at: a page of a listing."""
ASKED = 16
"""Of those that could be such files, how many are asked for in the journal, at the most."""


async def unadopted(storage: Storage) -> str | None:
    """A key that ``pypicloud adopt`` would take in; None where the first keys show none.

    Costs a page of a listing and, where that holds such keys, a few requests for some of them.
    """
    strangers = await _strangers(storage)
    adoption = Adoption(storage)
    # Evenly from all of them: an adoption that ended early leaves the last ones.
    for stored in strangers[:: -(len(strangers) // ASKED + 1)]:
        if await adoption.is_new(stored):
            return stored.key
    return None


async def _strangers(storage: Storage) -> list[Stored]:
    """The first keys of distributions that this index did not write."""
    found: list[Stored] = []
    seen = 0
    async for stored in storage.scan():
        distribution = adopting_names.kind_of(stored.key) is not None
        if distribution and not adopting_names.is_ours(stored.key):
            found.append(stored)
        seen += 1
        if seen == KEYS:  # before the next page is asked for
            break
    return found


def told(key: str) -> str:
    """What there is to say of such a key, in one line."""
    plain = key.encode("unicode_escape").decode()
    return (
        f"files that PyPICloud 1 left are not in this index, such as {plain}: `pypicloud adopt` "
        "lists what it would take in, `pypicloud adopt --apply` does it"
    )
