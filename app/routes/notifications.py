"""``/api/v1/notifications``: what object stores, or whoever copies into one, tell of keys."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app import errors
from app.dependencies import AdminDep, IndexDep, SettingsDep, get_admin, get_identity
from app.index.notified import Heard
from app.routes.router import Router
from app.routes.schemas import FAILURES

router = Router(prefix="/api/v1", tags=["api"], responses=FAILURES)

SIGNATURE = "x-pypicloud-signature"
"""``sha256=`` and the HMAC-SHA256 of the body, hexadecimal, keyed with the secret."""
RATE = "120"
_ORIGIN = re.compile(r"[A-Za-z0-9.-]{1,253}\Z")

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {
                            "type": "object",
                            "required": ["keys"],
                            "properties": {"keys": {"type": "array", "items": {"type": "string"}}},
                        },
                        {"type": "object", "description": "S3, SNS, EventBridge, Pub/Sub"},
                        {"type": "array", "items": {"type": "object"}, "description": "Event Grid"},
                    ]
                },
                "example": {"keys": ["journal/holygrail/@project/0000000001.json"]},
            }
        },
    }
}


class Heeded(BaseModel):
    """What became of the keys that were told of, and of their projects."""

    known: int = Field(description="keys of events that the cache had")
    read: int = Field(description="keys whose projects were read from the storage")
    unadopted: int = Field(description="keys of files that `pypicloud adopt` would take in")
    ignored: int = Field(description="all other keys")
    repaired: int = Field(description="projects that were brought up to the storage")
    dropped: int = Field(description="what the cache held and the storage does not")
    broken: int = Field(description="journals that cannot be read")

    @classmethod
    def of(cls, heard: Heard) -> Heeded:
        """The same counts."""
        return cls(**asdict(heard))


async def get_told(request: Request, settings: SettingsDep) -> bytes:
    """The body, from whoever knows the secret, or from an admin.

    Raises errors.Unauthenticated, errors.Forbidden; without a signature, before it is read.
    """
    secret = settings.notifications.secret
    key = secret.get_secret_value().encode() if secret is not None else None
    sent = [value.encode("latin-1") for value in request.headers.getlist("authorization")]
    scheme, _, token = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
    signature = request.headers.get(SIGNATURE)
    if key is not None and scheme.lower() == b"bearer":
        if hmac.compare_digest(token.strip(), key):
            return await request.body()
    elif key is not None and signature is not None and not sent:
        body = await request.body()
        wanted = f"sha256={hmac.digest(key, body, hashlib.sha256).hex()}"
        if hmac.compare_digest(signature.encode("latin-1"), wanted.encode()):
            return body
        raise errors.Unauthenticated
    await get_admin(request, await get_identity(request))
    return await request.body()


TellerDep = Annotated[bytes, Depends(get_told)]


@router.post(
    "/notifications",
    summary="Tell of keys in the storage",
    openapi_extra=_BODY,
    response_model=Heeded,
)
async def notify(body: TellerDep, index: IndexDep) -> Any:
    """Bring what others put into the storage, or took from it, into the cache.

    Answers when that is done; 503 means that it is to be told again. Event Grid's handshake
    is answered as it wants.
    """
    heard, handshake = await index.notified.hear(body)
    if handshake is not None:
        return JSONResponse({"validationResponse": handshake})
    return Heeded.of(heard)


@router.get("/notifications", summary="What was told of keys")
async def show_notifications(index: IndexDep, admin: AdminDep) -> Heeded:
    """The counts of this process since its start."""
    return Heeded.of(index.notified.total)


@router.options("/notifications", include_in_schema=False)
async def consent(request: Request, settings: SettingsDep) -> Response:
    """The handshake of CloudEvents: who asks may send; what is sent must be authenticated."""
    origin = request.headers.get("webhook-request-origin", "")
    if settings.notifications.secret is None or not _ORIGIN.match(origin):
        raise errors.Invalid("This is no handshake of CloudEvents.")
    return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": RATE})
