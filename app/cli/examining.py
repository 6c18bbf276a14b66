"""Whether everything that the settings name works: opened, written to, read and signed for."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ulid import ULID

from app import errors
from app.access.base import Access
from app.access.principals import EVERYONE
from app.cli import opening
from app.cli.adopt import make_spool
from app.cli.masking import url as hidden
from app.config import Settings
from app.outbound import Outbound
from app.storage import probe
from app.storage.base import Storage, read
from app.upstream.client import Client

State = Literal["ok", "note", "wrong"]
CONTENT = b"pypicloud config check\n"
SPARE = 2**30
"""Bytes of a disk below which it is worth a note."""
_FOUND, _OK = 300, 200
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One thing that was tried, and what to do where it does not work."""

    what: str
    state: State
    text: str
    cure: str = ""


Trial = Callable[[Settings], Awaitable[list[Examined]]]


async def examined(settings: Settings) -> AsyncIterator[Examined]:
    """Everything, one after the other; what fails stops nothing else."""
    for what, cure, trial in _TRIALS:
        try:
            for one in await trial(settings):
                yield one
        except errors.PypicloudError as wrong:
            yield Examined(what=what, state="wrong", text=hidden(str(wrong)), cure=cure)


async def _storage(settings: Settings) -> list[Examined]:
    async with opening.open_storage(settings) as storage:
        await probe.require_create_only(storage, "The storage")
        key = f"{probe.ROOT}{ULID()}"
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        try:
            await storage.put(key, _content(), size=len(CONTENT), sha256=sha256)
            if await read(storage, key, limit=len(CONTENT)) != CONTENT:
                raise errors.BlobDamaged("It gives back other bytes than it was given.")
            seen = [stored.key async for stored in storage.scan(probe.ROOT)]
            if key not in seen:
                raise errors.StorageUnavailable("It does not list what was just written.")
            signed = await _signed(settings, storage, key)
        finally:
            await storage.delete(key)
        if await storage.head(key) is not None:
            raise errors.StorageUnavailable("What was removed is still there.")
    worked = "written create-only, read, listed and removed"
    return [Examined(what="storage", state="ok", text=worked), signed]


async def _content() -> AsyncIterator[bytes]:
    yield CONTENT


async def _signed(settings: Settings, storage: Storage, key: str) -> Examined:
    url = await storage.url(key, filename="probe", expires_in=_MINUTE)
    if url is None or settings.delivery != "redirect":
        return Examined(what="signing", state="ok", text="files go through the service")
    parts = urlsplit(url)
    status = await _asked(url)
    where = f"{parts.scheme}://{parts.netloc}"
    if status == _OK:
        return Examined(what="signing", state="ok", text=f"a signed URL of {where} hands out bytes")
    return Examined(
        what="signing",
        state="wrong",
        text=f"a signed URL of {where} is answered {status}",
        cure="the credentials need the right to read; or set PYPICLOUD_DELIVERY=stream",
    )


async def _asked(url: str) -> int | str:
    """The status of an answer, or why there is none."""
    try:
        return await asyncio.to_thread(opening.status_of, url)
    except OSError as error:
        return f"by nobody ({getattr(error, 'reason', None) or type(error).__name__})"


async def _cache(settings: Settings) -> list[Examined]:
    async with opening.open_cache() as cache:
        serial, built = await cache.serial(), await cache.built()
    if built:
        return [Examined(what="cache", state="ok", text=f"complete, at serial {serial}")]
    text = "not built yet; the service builds it when it starts, or 'pypicloud reindex'"
    return [Examined(what="cache", state="note", text=text)]


async def _access(settings: Settings) -> list[Examined]:
    async with opening.open_ledger() as (access, ledger):
        async for _ in ledger.trail.entries(after=0, limit=1):
            break
        users = await _users(access)
    if users is None:
        return [Examined(what="access", state="ok", text="its users are kept elsewhere")]
    admins = [name for name, admin in users if admin]
    if not admins:
        return [
            Examined(
                what="access",
                state="note",
                text=f"{len(users)} users, and no admin",
                # A start makes an admin only where nobody is.
                cure="'pypicloud user admin NAME' makes one of them an admin"
                if users
                else "the first start makes one, or 'pypicloud user add NAME --admin'",
            )
        ]
    text = f"{len(users)} users, {len(admins)} of them admins"
    return [Examined(what="access", state="ok", text=text)]


async def _users(access: Access) -> list[tuple[str, bool]] | None:
    if not hasattr(access, "users"):
        return None
    return [(user.name, user.admin) for user in await access.users()]


async def _spool(settings: Settings) -> list[Examined]:
    await asyncio.to_thread(make_spool, settings.spool)
    free = await asyncio.to_thread(_free, settings.spool)
    if free < min(settings.max_file_size, 8 * SPARE):
        text = f"{free // 2**20} MiB are free, less than a file may have"
        cure = "give PYPICLOUD_SPOOL more room, or set PYPICLOUD_MAX_FILE_SIZE"
        return [Examined(what="spool", state="note", text=text, cure=cure)]
    return [Examined(what="spool", state="ok", text=f"{free // 2**30} GiB are free")]


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


async def _upstreams(settings: Settings) -> list[Examined]:
    found = []
    outbound = Outbound(networks=settings.outbound_networks)
    for options in settings.fallbacks:
        client = Client(options, outbound, offline=settings.offline)
        what = f"upstream {options.name}"
        try:
            async with client.get(f"{client.base}/", accept="*/*") as reply:
                well = reply.status < _FOUND
                text = f"{hidden(client.base)} is answered {reply.status}"
        except errors.Unreachable as wrong:
            well, text = False, hidden(str(wrong))
        cure = "" if well else "check its URL and credentials, and what this machine may reach"
        found.append(Examined(what=what, state="ok" if well else "wrong", text=text, cure=cure))
    return found


async def _web(settings: Settings) -> list[Examined]:
    found = []
    if settings.public_url is None and settings.local_url is None:
        text = "others reach the service, but it does not know by which URL"
        cure = "set PYPICLOUD_PUBLIC_URL to what clients use"
        found.append(Examined(what="web", state="note", text=text, cure=cure))
    elif settings.public_url and settings.public_url.startswith("http:"):
        text = "passwords and tokens go over plain http"
        cure = "put a proxy with TLS in front, and set PYPICLOUD_PUBLIC_URL=https://…"
        found.append(Examined(what="web", state="note", text=text, cure=cure))
    if EVERYONE in settings.default_write:
        text = "everyone may upload to projects without grants"
        found.append(Examined(what="rights", state="note", text=text))
    if not found:
        where = settings.public_url or settings.local_url
        found.append(Examined(what="web", state="ok", text=f"served at {where}"))
    return found


_TRIALS: tuple[tuple[str, str, Trial], ...] = (
    (
        "storage",
        "see docs/storage.md: what the URL has to be, and which rights the credentials need",
        _storage,
    ),
    ("cache", "see docs/cache.md: check the URL, and that the user may make tables", _cache),
    ("access", "see docs/access-backends.md: check PYPICLOUD_ACCESS and its credentials", _access),
    ("spool", "PYPICLOUD_SPOOL is to be a folder that can be written to", _spool),
    ("upstreams", "see docs/upstreams.md", _upstreams),
    ("web", "", _web),
)
