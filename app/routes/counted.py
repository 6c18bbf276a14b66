"""Which answers of the files' door are downloads, and counting them."""

from __future__ import annotations

import re

from fastapi import Request, Response

from app.downloads import Downloads
from app.hot.offer import Offer

_FROM_THE_START = re.compile(r"bytes=[ \t]*0+-", re.IGNORECASE)
_HANDED_ON = ("x-accel-redirect", "x-sendfile")


def counted(
    request: Request, response: Response, offer: Offer, downloads: Downloads | None
) -> Response:
    """The response, counted where it hands out the file that the door named in its offer."""
    if downloads is not None and offer.download is not None and is_download(request, response):
        agent = request.headers.get("user-agent", "")
        downloads.tally.count(*offer.download, agent.encode("latin-1"))
    return response


def is_download(request: Request, response: Response) -> bool:
    """Whether a whole file is handed out, or the first part of it.

    Who fetches a file in parts asks for the first one once; who looks into an archive asks for
    its end. Where somebody else sends the bytes, the range is theirs to answer.
    """
    if request.method != "GET":
        return False
    if response.status_code == 206:
        return response.headers["content-range"].startswith("bytes 0-")
    elsewhere = response.status_code == 302 or any(one in response.headers for one in _HANDED_ON)
    if elsewhere and (range := request.headers.get("range")) is not None:
        return _FROM_THE_START.match(range) is not None
    return response.status_code in (200, 302)
