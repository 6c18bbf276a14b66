"""Opening the upstreams that the settings name."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app import errors
from app.index import Index
from app.outbound import Outbound
from app.storage.base import Storage
from app.traces import Traces
from app.upstream.client import Client
from app.upstream.listings import Told
from app.upstream.publishers import Verify
from app.upstream.rules import Rules
from app.upstream.settings import UpstreamSettings
from app.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)


@asynccontextmanager
async def upstreams(
    settings: UpstreamSettings,
    index: Index,
    storage: Storage,
    outbound: Outbound,
    *,
    spool: Path,
    largest: int,
    verify: Verify | None,
    told: Told | None = None,
    traces: Traces | None = None,
) -> AsyncIterator[Upstreams]:
    """Those of the settings; ``largest``: bytes of a file, at most.

    ``verify`` reads provenance. Raises errors.Misconfigured where a rule needs it and it cannot.
    """
    rules = (settings.rules, *(one.rules for one in settings.fallbacks))
    if verify is None and any(one.only_publishers for one in rules):
        raise errors.Misconfigured(
            "PYPICLOUD_RULES__ONLY_PUBLISHERS needs the extra 'attestations'"
            " (pip install 'pypicloud[attestations]')"
        )
    clients = [
        Client(one, outbound, offline=settings.offline, traces=traces) for one in settings.fallbacks
    ]
    made = Upstreams(
        clients,
        Rules.of(settings.rules),
        index,
        storage,
        spool=spool,
        largest=largest,
        verify=verify or _unverified,
        told=told or _logged,
        show_always=settings.always_show_upstream,
        offline=settings.offline,
    )
    try:
        yield made
    finally:
        await made.stop()


async def _unverified(content: bytes, *, filename: str, sha256: str) -> Sequence[str]:
    """Nothing is proved where nobody can look."""
    return ()


def _logged(action: str, what: str) -> None:
    logger.warning("%s: %s", action, what)
