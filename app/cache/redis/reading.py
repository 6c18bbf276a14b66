"""What Redis is asked about one project, and about all of them."""

from __future__ import annotations

from packaging.utils import NormalizedName

from app.cache.base import Query
from app.cache.redis import records
from app.cache.redis.era import LIST, Era
from app.cache.redis.records import META, Held
from app.cache.redis.server import Word, answering

_PAGE = 1000
"""Lines of the list in one answer."""
_LOOKED_AT = 2000
_LOOKS = 20_000
"""Names that one script looks at, and how often: it has Redis to itself meanwhile."""


async def held(era: Era, name: NormalizedName, filename: str | None = None) -> Held:
    """A project with this file, or (None) with all; one round trip.

    Raises errors.CacheUnavailable where Redis has lost it: that does not make it absent.
    """
    field = records.field_of(filename or "")
    words: tuple[Word, ...] = ("HGETALL",) if filename is None else ("HMGET", *META, field)
    while True:
        found, shown, known, count = await era.read(
            lambda keys: [
                (words[0], keys.project(name), *words[1:]),
                ("ZSCORE", keys.index[1], records.encoded(name)),
                ("HGET", keys.root, keys.fact("known")),
                ("ZCARD", keys.index[1]),
            ]
        )
        with answering():
            if filename is None:
                project = records.whole(name, found)
            else:
                *meta, file = found
                files = {} if file is None else {field: file}
                project = records.held(name, meta, files, whole=False)
        if project.facts is not None or (shown is None and int(known) == count):
            return project
        await era.require_absent(name)


async def lines(era: Era, query: Query, after: str, limit: int | None) -> list[bytes]:
    """Those lines of the list that match, all of one era."""
    while True:
        found = await _lines(era, query, after, limit)
        if found is not None:
            return found


async def _lines(era: Era, query: Query, after: str, limit: int | None) -> list[bytes] | None:
    """None where the era ended meanwhile."""
    begun = era.keys
    terms = [records.encoded(term.casefold()) for term in (*query.names, *query.summaries)]
    chunk = min(_LOOKED_AT, max(1, _LOOKS // len(terms))) if terms else _PAGE
    place = records.encoded(after)
    found: list[bytes] = []
    while limit is None or len(found) < limit:
        wanted = chunk if limit is None else min(chunk, limit - len(found))
        words: list[Word] = [place, chunk if terms else wanted, wanted]
        words += [int(query.operator == "and"), len(query.names), len(query.summaries), *terms]
        place, *more = await era.run(LIST, *words)
        if era.keys != begun:
            return None
        found += more
        if not place:
            break
    return found
