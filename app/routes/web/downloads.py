"""What a project's page says of its downloads."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends

from app import errors
from app.dependencies import DownloadsDep
from app.downloads import RECENT
from app.routes.shown import Abroad
from app.routes.web.looking import FoundDep
from app.web.downloads import DownloadsView

PATIENCE = 2.0
"""Seconds that a page waits for what others counted; reading it goes on, for the next page."""


async def get_downloads_view(found: FoundDep, downloads: DownloadsDep) -> DownloadsView | None:
    """The downloads of the path's project; None where they are not counted, or not known now."""
    if downloads is None or isinstance(found, Abroad):
        return None
    ours = found.project
    try:
        async with asyncio.timeout(PATIENCE):
            figures = await downloads.figures(ours.name, ours.generation, within=RECENT)
    except (errors.Unavailable, TimeoutError):  # the page is worth more than its chart
        return None
    return DownloadsView.of(figures)


DownloadsViewDep = Annotated[DownloadsView | None, Depends(get_downloads_view)]
