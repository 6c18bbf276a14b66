"""Trusted publishing: a build's identity token for an upload token (TP-1 to TP-6, PEP 807)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from packaging.utils import NormalizedName
from pydantic import BaseModel

from app import errors
from app.access import tokens
from app.access.ledger import Publisher
from app.access.oidc.minting import Admitted
from app.dependencies import IndexDep, LedgerDep, LimitsDep, MintingDep, SettingsDep
from app.models import Actor, Identity, Permission, Scope
from app.reports import IDENTITY, client_address
from app.routes.recording import RecorderDep
from app.routes.router import Router
from app.routes.schemas import FAILURES
from app.routes.trusted import generation_of

router = Router(tags=["trusted publishing"])

BODY = 16 * 1024
"""Bytes of a request to mint."""
MINT = "/_/oidc/mint-token"
AUDIENCE = "/_/oidc/audience"
UPLOADS = frozenset({"/legacy/", "/legacy", "/"})
PYTP = "application/vnd.pypi.pytp.v1+json"
_OFF = "Trusted publishing is not enabled here."
_NO_STORE = {"Cache-Control": "no-store"}


class MintFailure(BaseModel):
    """One reason of a refusal."""

    code: str
    description: str


class MintFailures(BaseModel):
    """Why no token was minted (TP-3)."""

    message: str
    errors: list[MintFailure]


class Minted(BaseModel):
    """An upload token, and when it ends (seconds since 1970)."""

    success: bool
    token: str
    expires: int


class Audience(BaseModel):
    """Whom an identity token must be made for."""

    audience: str


_REFUSED: dict[int | str, dict[str, Any]] = {
    401: FAILURES[401],
    422: {"model": MintFailures, "description": "No token: why is in `errors`."},
    429: {"model": MintFailures, "description": "Too often; see `Retry-After`."},
    503: {"model": MintFailures, "description": "Try again later; see `Retry-After`."},
}


@router.get(
    AUDIENCE,
    summary="Whom identity tokens must be made for",
    responses={
        200: {"model": Audience},
        403: {"model": MintFailures, "description": "Trusted publishing is off."},
    },
)
async def audience(minting: MintingDep) -> Response:
    """The audience to ask one's provider for."""
    if minting is None:
        return refusal(403, errors.MintRefused("not-enabled", _OFF))
    return JSONResponse({"audience": minting.audience})


@router.post(
    MINT,
    summary="Mint an upload token",
    openapi_extra={"security": [{}]},
    responses={200: {"model": Minted}, **_REFUSED},
)
async def mint(
    request: Request,
    minting: MintingDep,
    ledger: LedgerDep,
    index: IndexDep,
    limits: LimitsDep,
    record: RecorderDep,
) -> Response:
    """An upload token for an identity token of a build whose publisher is registered.

    It is good for 15 minutes and for the publisher's projects alone. The body is
    `{"token": "…"}`; a refusal is `{"message", "errors": [{"code", "description"}]}`.
    """
    if minting is None:
        return refusal(422, errors.MintRefused("not-enabled", _OFF))
    try:
        await limits.spend(limits.mint(client_address(request)))
        admitted = await minting.admit(await _token(request), partial(generation_of, index))
    except errors.MintRefused as refused:
        record.refused("oidc.refuse", "", after={"code": refused.code, "why": refused.reason})
        return refusal(422, refused)
    except errors.Unavailable as failed:
        later = {"Retry-After": str(failed.retry_after)}
        return refusal(503, errors.MintRefused("unavailable", str(failed)), later)
    except errors.TooManyAttempts as failed:
        later = {"Retry-After": str(failed.retry_after)}
        return refusal(429, errors.MintRefused("too-many-attempts", str(failed)), later)
    token, text = _minted(admitted)
    await ledger.tokens.add(token)
    request.scope[IDENTITY] = Identity(
        actor=Actor(kind="publisher", id=token.publisher or ""),
        principals=frozenset(),
        credential=token.id,
    )
    await record.entry(
        "oidc.mint",
        f"token:{token.id}",
        after={"projects": sorted(admitted.publishers), "claims": admitted.snapshot},
    )
    made = {"success": True, "token": text, "expires": int(token.expires.timestamp())}
    return JSONResponse(made, headers=_NO_STORE)


@router.get("/.well-known/pytp", include_in_schema=False)
async def discovery(
    minting: MintingDep, settings: SettingsDep, discover: str = "/legacy/"
) -> Response:
    """Where the two endpoints are, for an upload URL of this index (PEP 807)."""
    root = settings.root_path
    path = discover.removeprefix(root) if discover.startswith(f"{root}/") else ""
    if minting is None or not settings.oidc_discovery or path not in UPLOADS:
        raise errors.NotFound("There is no such page here.")
    endpoints = {
        "audience-endpoint": f"{root}{AUDIENCE}",
        "token-mint-endpoint": f"{root}{MINT}",
    }
    return JSONResponse(endpoints, media_type=PYTP)


def refusal(
    status: int, refused: errors.MintRefused, headers: Mapping[str, str] | None = None
) -> Response:
    """The shape that clients read (TP-3)."""
    shown = {
        "message": "Token request failed",
        "errors": [{"code": refused.code, "description": str(refused)}],
    }
    return JSONResponse(shown, status, headers={**_NO_STORE, **(headers or {})})


async def _token(request: Request) -> str:
    """Step 1: a short JSON object with a token."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY:
            raise errors.MintRefused("invalid-payload", "The request is too long.")
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise errors.MintRefused("invalid-payload", "The request is not JSON.") from None
    token = sent.get("token") if isinstance(sent, dict) else None
    if not isinstance(token, str) or not token:
        raise errors.MintRefused("invalid-payload", "The request has no 'token'.")
    return token


def _minted(admitted: Admitted) -> tuple[Any, str]:
    publishers = admitted.publishers
    return tokens.make(
        tokens.MINTED,
        scope=scope(publishers),
        now=datetime.now(UTC),
        lifetime=tokens.MINTED_LIFETIME,
        publisher=_first(list(publishers.values())).id,
        claims={
            "claims": admitted.snapshot,
            "publishers": {project: one.id for project, one in publishers.items()},
        },
    )


def scope(publishers: Mapping[NormalizedName, Publisher]) -> Scope:
    """Uploads to these projects alone; those that are pending may be begun."""
    return Scope(
        permissions=frozenset({Permission.UPLOAD}),
        projects={project: one.generation for project, one in publishers.items()},
        creates=any(one.generation is None for one in publishers.values()),
        sufficient=True,
    )


def _first(publishers: Sequence[Publisher]) -> Publisher:
    return min(publishers, key=lambda one: one.id)
