"""``/metrics``: what is measured, for Prometheus and whoever reads its format."""

from __future__ import annotations

import asyncio
import hmac

from fastapi import Request, Response

from app import errors
from app.access import policy
from app.dependencies import IndexDep, SettingsDep, get_identity
from app.measuring import measured, resident
from app.metrics.exposition import written
from app.metrics.options import MetricsOptions
from app.routes.router import Router
from app.routes.schemas import FAILURES
from app.state import of as _state

router = Router(tags=["health"])


@router.get(
    "/metrics",
    summary="What is measured",
    response_class=Response,
    responses={
        **{code: FAILURES[code] for code in (401, 403)},
        200: {"description": "Prometheus' text format, or OpenMetrics.", "content": {}},
    },
)
async def metrics(request: Request, index: IndexDep, settings: SettingsDep) -> Response:
    """The numbers of all workers of this replica.

    `PYPICLOUD_METRICS__ACCESS` says who may read them.
    """
    await _authorize(request, settings.metrics)
    state = _state(request)
    await resident(state["meters"])
    found = await measured(state["shared"], index)
    body, media_type = await asyncio.to_thread(written, found, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


async def _authorize(request: Request, options: MetricsOptions) -> None:
    """Raises errors.NotFound, errors.Unauthenticated, errors.Forbidden."""
    if options.access == "off":
        raise errors.NotFound("There are no metrics here.")
    if options.access == "open" or _has_token(request, options):
        return
    identity = await get_identity(request)
    if identity is None:
        raise errors.Unauthenticated
    if not policy.administers(identity):
        raise errors.Forbidden("Only an admin may do this.")


def _has_token(request: Request, options: MetricsOptions) -> bool:
    sent = request.headers.get("authorization", "")
    scheme, _, token = sent.partition(" ")
    if options.token is None or scheme.lower() != "bearer":
        return False
    wanted = options.token.get_secret_value().encode()
    return hmac.compare_digest(token.strip().encode(), wanted)
