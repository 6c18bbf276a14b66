"""What a process holds while it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypedDict, cast

from starlette.requests import HTTPConnection

from app.access import policy
from app.access.authentication import Authenticator
from app.access.base import Access
from app.access.chronicle import Chronicle
from app.access.ledger import Ledger
from app.access.limits import Limits
from app.access.oidc.minting import Minting
from app.access.oidc.signing_in import SigningIn
from app.config import Settings
from app.downloads import Downloads
from app.hooks.delivery import Courier
from app.hot import Hot
from app.index import Index
from app.life import Life
from app.metrics import Meters
from app.metrics.shared import Shared
from app.pages import Pages
from app.traces import Traces
from app.upload.attestations import Attestor
from app.upload.inspection import Inspectors
from app.upstream.upstreams import Upstreams
from app.web.archives import Archives
from app.web.catalogue import Catalogue
from app.web.descriptions import Descriptions
from app.web.releases import Shelf

Probe = Callable[[], Awaitable[object]]
"""Asks one part whether it answers; raises errors.Unavailable where it does not."""


class State(TypedDict):
    """What a process holds while it serves; the lifespan yields it into ``request.state``."""

    settings: Settings
    defaults: policy.Defaults
    index: Index
    pages: Pages
    upstreams: Upstreams
    hot: Hot
    access: Access
    ledger: Ledger
    limits: Limits
    authenticator: Authenticator
    chronicle: Chronicle
    minting: Minting | None
    attestor: Attestor | None
    signing_in: SigningIn | None
    inspectors: Inspectors
    catalogue: Catalogue
    shelf: Shelf
    descriptions: Descriptions
    archives: Archives
    downloads: Downloads | None
    couriers: Sequence[Courier]
    probes: Mapping[str, Probe]
    life: Life
    meters: Meters
    shared: Shared
    traces: Traces | None


def of(request: HTTPConnection) -> State:
    """That of the process that serves a request."""
    return cast(State, request.state)
