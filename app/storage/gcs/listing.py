"""Listings: page after page, and where they are long, several stretches of them at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from app.storage.gcs.client import Client, Resource
from app.storage.gcs.failures import Failed

PAGE = 1000
"""Objects that the store tells with one answer."""

STRETCH = 4
"""Pages of which a stretch is to consist, about; as many of each are fetched ahead."""

AHEAD = 8
"""Stretches that are listed at a time."""

_ITEMS = "nextPageToken,items(name,size,updated,generation,metadata)"
_FOLDERS = "nextPageToken,prefixes"


async def listed(client: Client, prefix: str, *, size: int = PAGE) -> AsyncGenerator[Resource]:
    """The objects whose names begin with ``prefix``, in the order of these; ``size`` a page.

    Pages of one listing come one after the other. So after the first, where more follow, the
    rest is cut where folders begin, each cut the end of one stretch and the start of the next.
    """
    params = {"prefix": prefix, "maxResults": str(size), "fields": _ITEMS}
    page = await client.page(**params)
    found: Sequence[Resource] = page.get("items", ())
    for each in found:
        yield each
    if page.get("nextPageToken") is None:
        return
    last = found[-1]["name"] if found else ""
    folders = {_folder(each["name"], prefix) for each in found} - {None}
    # Of folders with a few objects each the list would be about as long as that of all.
    worth = 0 < len(folders) <= size // 4
    cuts = _cuts(client, prefix, last, STRETCH * len(folders)) if worth else _none()
    async with aclosing(cuts), aclosing(_stretches(client, params, last, cuts)) as rest:
        async for each in rest:
            if each["name"] > last:
                yield each


async def _stretches(
    client: Client, params: dict[str, str], start: str, cuts: AsyncGenerator[str]
) -> AsyncGenerator[Resource]:
    """What follows ``start``, itself included."""
    ahead: deque[_Stretch] = deque()
    end: str | None = start
    try:
        while True:
            while end is not None and len(ahead) < AHEAD:
                start, end = end, await anext(cuts, None)
                bounds = {"startOffset": start} | ({"endOffset": end} if end else {})
                ahead.append(_Stretch(client, params | bounds))
            if not ahead:
                return
            while (page := await ahead[0].next()) is not None:
                for each in page:
                    yield each
            ahead.popleft()
    finally:
        for stretch in ahead:
            stretch.task.cancel()
        await asyncio.gather(*(stretch.task for stretch in ahead), return_exceptions=True)


class _Stretch:
    """Part of a listing, fetched ahead of its reader."""

    def __init__(self, client: Client, params: dict[str, str]) -> None:
        self._client = client
        self._params = params
        self._pages: asyncio.Queue[Sequence[Resource] | Failed | None] = asyncio.Queue(STRETCH)
        self.task = asyncio.create_task(self._fetch())

    async def next(self) -> Sequence[Resource] | None:
        """The next page; None at the end."""
        page = await self._pages.get()
        if isinstance(page, Failed):
            raise page
        return page

    async def _fetch(self) -> None:
        token: str | None = ""
        try:
            while token is not None:
                more = {"pageToken": token} if token else {}
                page = await self._client.page(**self._params, **more)
                await self._pages.put(page.get("items", ()))
                token = page.get("nextPageToken")
            await self._pages.put(None)
        except Failed as failed:
            await self._pages.put(failed)


async def _cuts(client: Client, prefix: str, after: str, every: int) -> AsyncGenerator[str]:
    """One of so many folders below the prefix: what the names in it begin with."""
    params = {"prefix": prefix, "delimiter": "/", "startOffset": after, "fields": _FOLDERS}
    token: str | None = ""
    count = 0
    while token is not None:
        more = {"pageToken": token} if token else {}
        page = await client.page(**params, **more, maxResults=str(PAGE))
        for folder in page.get("prefixes", ()):
            count += folder > after
            if folder > after and count % every == 0:
                yield folder
        token = page.get("nextPageToken")


async def _none() -> AsyncGenerator[str]:
    return
    yield ""


def _folder(name: str, prefix: str) -> str | None:
    """What follows the prefix, up to the first slash."""
    folder, slash, _ = name.removeprefix(prefix).partition("/")
    return folder if slash else None
