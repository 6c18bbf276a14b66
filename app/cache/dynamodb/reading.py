"""What is asked of the table, each project seen as it was at one moment.

Items are read one by one, so a project's files are counted and marked: what does not agree
with the project was read while it was written, and is read again.
"""

from __future__ import annotations

from collections.abc import Callable

from packaging.utils import NormalizedName

from app.cache.dynamodb import records
from app.cache.dynamodb.draft import MASK
from app.cache.dynamodb.records import CHANGES, Kept, Known
from app.dynamodb.keys import revision_in
from app.dynamodb.table import Table, both, together
from app.models import Change, File
from app.names import NAME_LENGTH

LEAST = 25
"""Projects asked of each partition of the list, at the least."""
LONGEST_FILENAME = 700
"""Bytes: a key has at most 1024."""

_Pages = list[list[tuple[str, Kept]]]


async def known(table: Table, prefix: str, name: NormalizedName) -> Known | None:
    """A project without its files, at least as new as any change that was seen before."""
    found = await table.get_settled(records.project_key(prefix, name))
    return None if found is None else records.known(found)


async def whole(
    table: Table, prefix: str, name: NormalizedName, known: Known
) -> dict[str, Kept] | None:
    """All files of the project, by filename; None where that is not how it stands now."""
    return _agreeing(known, await _files(table, prefix, name))


async def project(
    table: Table, prefix: str, name: NormalizedName
) -> tuple[Known | None, dict[str, Kept] | None]:
    """A project with its files, in the time of one round trip; files as ``whole`` has them."""
    found, pages = await both(known(table, prefix, name), _files(table, prefix, name))
    return found, None if found is None else _agreeing(found, pages)


async def versions(
    table: Table, prefix: str, name: NormalizedName, filename: str | None
) -> dict[str, File]:
    """The file of this name in each incarnation."""
    if filename is None or not possible(filename):
        return {}
    part = records.files_part(prefix, name)
    return {
        records.incarnation(one): file
        async for page in table.pages(part, begins=f"{name}/{filename}/")
        for one, file in zip(page, records.files(page), strict=True)
    }


def possible(filename: str) -> bool:
    """Whether a file of this name can stand in the table."""
    return "/" not in filename and len(filename.encode(errors="replace")) <= LONGEST_FILENAME


async def listed(
    table: Table,
    prefix: str,
    *,
    after: str,
    limit: int | None,
    wanted: Callable[[Known], bool],
) -> list[Known]:
    """The first ``limit`` projects above ``after`` that are wanted, by name."""
    found: list[Known] = []
    begin = dict.fromkeys(records.list_parts(prefix), _key_below(after))
    size = None if limit is None else max(LEAST, limit // 2)
    while begin:
        stretches = await together(_stretch(table, part, at, size) for part, at in begin.items())
        ends = dict(zip(begin, (end for _, end in stretches), strict=True))
        begin = {part: end for part, end in ends.items() if end is not None}
        found += [one for those, _ in stretches for one in those if wanted(one)]
        # Below the first end of those that go on everything was seen.
        bound = min(begin.values(), default=None)
        found = sorted((one for one in found if one.facts.name > after), key=_name)
        if limit is not None:
            sure = [one for one in found if bound is None or one.facts.name <= bound]
            if len(sure) >= limit:
                return sure[:limit]
        size = size and size * 4
    return found


async def changes(
    table: Table, after: int, limit: int, pruned: Change | None = None
) -> list[Change]:
    """The first changes above ``after``, ending before one that is not visible yet.

    ``pruned`` stands for those up to its serial, but for the first.
    """
    found: list[Change] = []
    if pruned is not None and after < pruned.serial:
        found = [*await _kept(table, after, pruned.serial), pruned]
        after = pruned.serial
    above = records.change_key(after)[1]
    seen = after
    async for page in table.pages(CHANGES, after=above, limit=max(LEAST, limit)):
        for one in page:
            passage = records.passage(one)
            if passage.before > seen:
                return found[:limit]
            seen = passage.changes[-1].serial
            found += [change for change in passage.changes if change.serial > after]
        if len(found) >= limit:
            break
    return found[:limit]


async def _kept(table: Table, after: int, pruned: int) -> list[Change]:
    """The first change of the first item above ``after``, where it was not to go."""
    async for page in table.pages(CHANGES, after=records.change_key(after)[1], limit=1):
        firsts = [records.passage(one).changes[0] for one in page]
        return [change for change in firsts if after < change.serial < pruned]
    return []


async def _files(table: Table, prefix: str, name: NormalizedName) -> _Pages:
    """Its files in every incarnation, page by page."""
    part = records.files_part(prefix, name)
    found = []
    async for page in table.pages(part, begins=f"{name}/"):
        kept = map(Kept, records.files(page), map(revision_in, page))
        found.append(list(zip(map(records.incarnation, page), kept, strict=True)))
    return found


def _agreeing(known: Known, pages: _Pages) -> dict[str, Kept] | None:
    found = {
        kept.value.filename: kept
        for page in pages
        for incarnation, kept in page
        if incarnation == known.incarnation
    }
    mark = sum(records.mark(kept.revision) for kept in found.values()) % MASK
    return found if (len(found), mark) == (known.count, known.mark) else None


async def _stretch(
    table: Table, part: str, after: str, size: int | None
) -> tuple[list[Known], str | None]:
    """Projects of a partition; where it goes on, above which name."""
    found: list[Known] = []
    async for page in table.pages(part, after=after, limit=size):
        found += records.knowns(page)
        if size is not None and len(page) >= size:
            return found, found[-1].facts.name
    return found, None


def _key_below(after: str) -> str:
    """What can be a key, and is not above ``after`` for any name."""
    ascii_only = after.encode("ascii", "replace").decode().partition("?")[0]
    return ascii_only[:NAME_LENGTH]


def _name(known: Known) -> str:
    return known.facts.name
