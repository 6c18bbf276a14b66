"""The bodies in which object stores tell of keys → notices. Pure.

A plain list of keys; S3 (as such, through SNS, through EventBridge); Google Pub/Sub; Azure
Event Grid, in its own schema and in that of CloudEvents.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from app import errors

MOST = 10_000
"""Notices in one body."""
_BLOBS = "/blobServices/default/containers/"
_HANDSHAKE = "Microsoft.EventGrid.SubscriptionValidationEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A key as its store names it, prefix and all.

    ``bucket`` is None where that is not said, and so is ``written``: that it was written, or
    (False) removed, or something else became of it.
    """

    key: str
    bucket: str | None = None
    written: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a body says; ``handshake`` is to be said back, to show that somebody listens."""

    notices: tuple[Notice, ...] = field(default=())
    handshake: str | None = None


def parse(body: bytes) -> Body:
    """What a body says. Raises errors.Invalid for one that has none of the shapes."""
    try:
        said = json.loads(body)
        if _is_handshake(said):
            return Body(handshake=_text(said[0]["data"]["validationCode"]))
        notices = tuple(_notices(said))
    except (ValueError, LookupError, TypeError, RecursionError, AttributeError):
        raise errors.Invalid("These are no notices of keys in any shape that is known.") from None
    if len(notices) > MOST:
        raise errors.Invalid(f"More than {MOST} notices at once.")
    return Body(notices=notices)


def _is_handshake(said: Any) -> bool:
    return isinstance(said, list) and len(said) == 1 and said[0].get("eventType") == _HANDSHAKE


def _notices(said: Any) -> Iterable[Notice]:
    if isinstance(said, list):
        return [notice for event in said for notice in _event_grid(event)]
    if "keys" in said:
        return [Notice(key=_text(key)) for key in _list(said["keys"])]
    if "Records" in said:
        return map(_s3, _list(said["Records"]))
    if said.get("Type") == "Notification":
        inner = json.loads(said["Message"])
        if "Type" in inner:
            raise ValueError("an envelope in an envelope")
        return _notices(inner)
    if said.get("Event") == "s3:TestEvent":
        return ()
    if said.get("source") == "aws.s3":
        return _event_bridge(said)
    if "message" in said:
        return _pub_sub(said["message"])
    if "specversion" in said:
        return _event_grid(said)
    raise ValueError("nothing of ours")


def _s3(record: Any) -> Notice:
    found = record["s3"]
    return Notice(
        # As in a form: a plus for a space.
        key=unquote_plus(_text(found["object"]["key"]), errors="strict"),
        bucket=_text(found["bucket"]["name"]),
        written=_text(record["eventName"]).removeprefix("s3:").startswith("ObjectCreated"),
    )


def _event_bridge(event: Any) -> Iterator[Notice]:
    found = event["detail"]
    yield Notice(
        key=_text(found["object"]["key"]),
        bucket=_text(found["bucket"]["name"]),
        written=event["detail-type"] == "Object Created",
    )


def _pub_sub(message: Any) -> Iterator[Notice]:
    told = message.get("attributes") or {}
    if "objectId" not in told:
        found = json.loads(base64.b64decode(_text(message["data"]), validate=True))
        told = {"objectId": found["name"], "bucketId": found["bucket"]}
    yield Notice(
        key=_text(told["objectId"]),
        bucket=_text(told["bucketId"]),
        written=told.get("eventType") == "OBJECT_FINALIZE",
    )


def _event_grid(event: Any) -> Iterator[Notice]:
    kind = _text(event["eventType"] if "eventType" in event else event["type"])
    if not kind.startswith("Microsoft.Storage."):
        return
    container, _, key = _text(event["subject"]).removeprefix(_BLOBS).partition("/blobs/")
    if not event["subject"].startswith(_BLOBS) or not key:
        return  # of a folder or a queue
    written = kind == "Microsoft.Storage.BlobCreated"
    yield Notice(key=key, bucket=container, written=written)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value
