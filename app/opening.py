"""Opening every room that the settings name: how the house is put together."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from packaging.utils import NormalizedName

from app import config, errors, measuring, plugins, traces
from app.access import books, chain, policy
from app.access.base import Access, editable
from app.access.bootstrap import ensure_admin
from app.access.ledger import Ledger
from app.access.oidc.minting import minting
from app.access.oidc.signing_in import SigningIn
from app.cache.base import Cache
from app.config import Settings
from app.downloads import Downloads
from app.hooks.delivery import Courier
from app.hot import Hot
from app.hot.watch import watching
from app.index import Index
from app.life import Life
from app.metrics import Meters, metered
from app.metrics.shared import Shared
from app.outbound import Outbound
from app.pages import Pages
from app.state import Probe, State
from app.storage import place as places
from app.storage.base import Storage
from app.traces.traced import traced
from app.turns import Pool
from app.upload import attestations
from app.upload.inspection import inspectors
from app.upstream.opening import upstreams
from app.web.archives import Archives
from app.web.catalogue import Catalogue
from app.web.descriptions import Descriptions
from app.web.releases import Shelf

STALE = timedelta(days=1)
STORES = ("aiobotocore", "aiohttp", "azure", "boto3", "botocore", "gcloud", "google", "msal")
DATABASES = ("aiosqlite", "asyncmy", "asyncpg", "sqlalchemy")
TELLTALES = (*STORES, *DATABASES)
"""Loggers of libraries that write signatures, tokens and hashes where they are more talkative."""


def hush() -> None:
    """Have no library log what is to stay secret, at whatever level others log."""
    for name in TELLTALES:
        logging.getLogger(name).setLevel(logging.WARNING)


async def open_state(settings: Settings, stack: AsyncExitStack) -> State:
    """Open every room that the settings name; ``stack`` closes them in reverse."""
    hush()
    meters, life = Meters(), Life()
    spans = await stack.enter_async_context(traces.opened(settings.traces))
    storage, cache, access = await _backends(settings, meters, spans, stack)
    await announce_admin(settings, access)
    ledger = await stack.enter_async_context(
        books.opened(settings.ledger, access, settings.access_options)
    )
    kept = await stack.enter_async_context(_books(settings, access, ledger))
    index = _index(settings, storage, cache)
    hot = await stack.enter_async_context(_hot(settings, index, access, meters, spans))
    await asyncio.to_thread(prepare_spool, settings.spool)
    outbound = Outbound(networks=settings.outbound_networks)
    attestor = await attestations.opened(settings.attestation_root)
    fallbacks = await stack.enter_async_context(
        upstreams(
            settings, index, storage, outbound, spool=settings.spool,
            largest=settings.max_file_size, verify=attestor.publishers if attestor else None,
            told=kept.chronicle.told, traces=spans,
        )
    )  # fmt: skip
    pages = Pages(memory=settings.page_memory // 4)
    children = await stack.enter_async_context(inspectors(count=settings.inspectors))
    life.tell(hot.close)
    pools = {"inspectors": children, **_pools("cache", cache), **_pools("access", access)}
    measuring.watch(meters, measuring.Parts(index, pages, fallbacks, pools, life))
    return State(
        settings=settings,
        defaults=_defaults(settings),
        index=index,
        pages=pages,
        upstreams=fallbacks,
        hot=hot,
        access=access,
        ledger=ledger,
        limits=kept.limits,
        authenticator=kept.authenticator,
        chronicle=kept.chronicle,
        minting=minting(
            (one.entry for one in settings.oidc_issuers), settings.audience, outbound, ledger
        ),
        signing_in=SigningIn(settings.sso, outbound) if settings.sso.issuer else None,
        attestor=attestor,
        inspectors=children,
        catalogue=Catalogue(index),
        shelf=Shelf(),
        descriptions=Descriptions(),
        archives=Archives(settings.spool),
        downloads=_downloads(settings, storage, hot),
        probes=_probes(storage, cache, access),
        couriers=_couriers(settings, index, storage, meters),
        life=life,
        meters=meters,
        shared=Shared(meters, settings.metrics.directory),
        traces=spans,
    )


def _pools(room: str, backend: object) -> Mapping[str, Pool]:
    """What a backend has so many of, if it says so, by names that say whose they are."""
    named: Mapping[str, Pool] = getattr(backend, "pools", {})
    return {f"{room}_{name}": pool for name, pool in named.items()}


def _probes(storage: Storage, cache: Cache, access: Access) -> dict[str, Probe]:
    """A small question to each part."""
    nobody = NormalizedName("health")
    return {
        "storage": lambda: storage.head("health"),
        "cache": cache.serial,
        "access": lambda: access.grants(nobody, None),
    }


def _couriers(settings: Settings, index: Index, storage: Storage, meters: Meters) -> list[Courier]:
    """What tells webhooks, by the rules of all that we ask of others."""

    def outbound(timeout: timedelta) -> Outbound:
        return Outbound(networks=settings.outbound_networks, timeout=timeout.total_seconds())

    return [
        Courier(hook, index, storage, outbound(hook.timeout), meters)
        for hook in settings.webhooks.all
    ]


async def _backends(
    settings: Settings, meters: Meters, spans: traces.Traces | None, stack: AsyncExitStack
) -> tuple[Storage, Cache, Access]:
    """Storage, cache and access, whose calls are counted, and traced."""
    storage: Storage = await stack.enter_async_context(
        plugins.backend("storage", settings.storage)(settings.storage, settings.storage_options)
    )
    cache: Cache = await stack.enter_async_context(
        plugins.backend("cache", settings.cache)(settings.cache, settings.cache_options)
    )
    access = await stack.enter_async_context(open_access(settings))
    none = frozenset[str]()
    storage = traced(storage, "storage", spans, metered.STORAGE, metered.STREAMS)
    cache = traced(cache, "cache", spans, metered.CACHE, none)
    access = traced(access, "access", spans, metered.ACCESS, none)
    return (
        metered.metered(storage, "storage", meters, metered.STORAGE),
        metered.metered(cache, "cache", meters, metered.CACHE, none),
        metered.metered(access, "access", meters, metered.ACCESS, none),
    )


def _books(
    settings: Settings, access: Access, ledger: Ledger
) -> AbstractAsyncContextManager[books.Books]:
    return books.kept(
        access,
        ledger,
        unused_after=settings.tokens.unused_after,
        limits=settings.limits,
        audit=settings.audit,
    )


def _index(settings: Settings, storage: Storage, cache: Cache) -> Index:
    return Index(
        storage,
        cache,
        redirect=settings.delivery == "redirect",
        url_expires=settings.url_expires,
        delete_grace=settings.delete_grace,
        legacy_metadata=settings.legacy_metadata,
        refresh=settings.page_refresh,
        stale=settings.stale_limit,
        memory=settings.page_memory // 2,
        place=places.of(settings.storage),
    )


def _downloads(settings: Settings, storage: Storage, hot: Hot) -> Downloads | None:
    if not settings.downloads:
        return None
    downloads = Downloads(storage)
    hot.counting.tally = downloads.tally
    return downloads


def _defaults(settings: Settings) -> policy.Defaults:
    return policy.Defaults(
        read=settings.default_read,
        upload=settings.default_write,
        fetch=settings.default_fetch,
        add=settings.grants == "add",
    )


@asynccontextmanager
async def _hot(
    settings: Settings,
    index: Index,
    access: Access,
    meters: Meters,
    spans: traces.Traces | None,
) -> AsyncIterator[Hot]:
    """What is hot, in step with the index and with access."""
    unusual = {settings.sso.header.lower().encode()} - {b""}
    if spans is not None and settings.trusted_proxies:
        unusual.add(b"traceparent")  # a door knows whom to believe, and joins the trace
    hot = Hot(
        _defaults(settings),
        memory=settings.page_memory // 4,
        following=index.follower,
        unusual=frozenset(unusual),
        meters=meters,
        root_path=settings.root_path,
    )
    hot.counting.spans = spans
    index.follower.tell_at_once(hot.drop)
    index.follower.tell_of_access(hot.drop_rights)
    async with watching(access, hot):
        yield hot


def prepare_spool(directory: Path) -> None:
    """Make it, and remove what a crash left there a day ago or earlier: uploads, archives."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("upload-*"):
            with suppress(FileNotFoundError):  # another process was first
                if time.time() - left.stat().st_mtime > STALE.total_seconds():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    except OSError as error:
        reason = f"{config.variable('spool')}: {directory} cannot be used: {error.strerror}"
        raise errors.Misconfigured(reason) from error


def open_access(settings: Settings) -> AbstractAsyncContextManager[Access]:
    """The access backends that the settings name, as one."""
    return chain.connect(settings.access_urls, settings.access_options)


async def announce_admin(settings: Settings, access: Access) -> None:
    """See that there is an admin; a password made for that goes to the console, never a log."""
    if hasattr(access, "add_user"):
        secret = settings.admin_password
        made = await ensure_admin(editable(access), secret.get_secret_value() if secret else None)
        if made is not None:
            sys.stderr.write(f"The admin's name is 'admin', the password, shown once: {made}\n")
