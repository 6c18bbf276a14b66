"""Opening the way to the server: whatever cannot work is one line at the start."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from app import errors
from app.access.options import TOGETHER, RemoteOptions
from app.access.remote.access import RemoteAccess
from app.access.remote.asking import Server
from app.access.trust import is_loopback, trusting


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[RemoteAccess]:
    """The users of the server at ``remote:URL``; options are those of RemoteOptions.

    What a chain adds is passed over: nothing is edited and no password is hashed here.

    Nothing is asked yet. Raises errors.Misconfigured where it cannot work.
    """
    chosen = RemoteOptions.of({key: options[key] for key in options if key not in TOGETHER})
    base = _base(url, chosen)
    authorities = await asyncio.to_thread(trusting, chosen.ca_file, "PYPICLOUD_REMOTE__CA_FILE")
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if chosen.username is not None and chosen.password is not None:
        pair = f"{chosen.username}:{chosen.password.get_secret_value()}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=chosen.connections, ssl=authorities),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=chosen.timeout.total_seconds()),
    ) as session:
        yield RemoteAccess(Server(session, base, chosen))


def _base(url: str, options: RemoteOptions) -> str:
    try:
        parts = urlsplit(url.partition(":")[2])
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    extra = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not host or extra:
        raise errors.Misconfigured(
            "Write access as remote:https://HOST/PATH; name and password, if the server wants "
            "any, are PYPICLOUD_REMOTE__USERNAME and PYPICLOUD_REMOTE__PASSWORD."
        )
    if parts.scheme == "http" and not options.plain and not is_loopback(host):
        raise errors.Misconfigured("remote:http:// would send passwords in the clear: use https.")
    return parts.geturl().rstrip("/")
