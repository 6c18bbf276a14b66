"""What of a request stands in the audit trail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import HTTPConnection

from app.access.authentication import LOGIN, Report
from app.access.ledger import Entry
from app.models import Identity
from app.state import of as _state

IDENTITY = "pypicloud.identity"
"""The key of the scope with who asks, once that is known."""


def client_address(request: HTTPConnection) -> str:
    """The address of whoever asks, behind the proxies that are trusted; empty: not known."""
    return request.client.host if request.client else ""


def reporting(request: HTTPConnection) -> Report:
    """Notes what was refused to a request, in the audit trail."""

    def report(
        action: str,
        *,
        target: str = "",
        typed: str | None = None,
        credential: str | None = None,
        outcome: str = "refused",
    ) -> None:
        entry = entry_of(request, action, target, outcome="ok" if action == LOGIN else outcome)
        _state(request)["chronicle"].note(
            replace(entry, credential=credential or entry.credential), typed
        )

    return report


def entry_of(request: HTTPConnection, action: str, target: str, **facts: Any) -> Entry:
    """An entry of the audit trail about a request, by whoever it comes from."""
    identity: Identity | None = request.scope.get(IDENTITY)
    return Entry(
        number=0,
        time=datetime.now(UTC),
        action=action,
        actor=identity.actor if identity else None,
        target=target,
        credential=identity.credential if identity else None,
        address=client_address(request),
        agent=request.headers.get("user-agent", ""),
        request=request.scope.get("pypicloud.request_id", ""),
        **facts,
    )
