"""The bodies in which the object stores tell of one key, as their manuals show them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

BUCKET = "packages"


def s3(*keys: str, removed: bool = False, bucket: str = BUCKET) -> dict[str, Any]:
    """What S3 sends to a queue."""
    name = "ObjectRemoved:Delete" if removed else "ObjectCreated:Put"
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventName": name,
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {"key": quote_plus(key, safe="/"), "size": 7, "sequencer": "0055AED"},
                },
            }
            for key in keys
        ]
    }


def sns(key: str, *, removed: bool = False) -> dict[str, Any]:
    """The same through a topic."""
    return {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": "arn:aws:sns:eu-central-1:1:topic",
        "Message": json.dumps(s3(key, removed=removed)),
        "SignatureVersion": "1",
    }


def event_bridge(key: str, *, removed: bool = False) -> dict[str, Any]:
    """The same through EventBridge, where keys are as they are."""
    return {
        "version": "0",
        "detail-type": "Object Deleted" if removed else "Object Created",
        "source": "aws.s3",
        "detail": {"version": "0", "bucket": {"name": BUCKET}, "object": {"key": key, "size": 7}},
    }


def pub_sub(key: str, *, removed: bool = False) -> dict[str, Any]:
    """What Pub/Sub pushes for Google Cloud Storage."""
    kind = "OBJECT_DELETE" if removed else "OBJECT_FINALIZE"
    inner = base64.b64encode(json.dumps({"name": key, "bucket": BUCKET}).encode()).decode()
    attributes = {"eventType": kind, "bucketId": BUCKET, "objectId": key}
    return {"message": {"attributes": attributes, "data": inner, "messageId": "1"}}


def event_grid(key: str, *, removed: bool = False) -> list[dict[str, Any]]:
    """What Event Grid sends in its own schema."""
    return [
        {
            "topic": "/subscriptions/x/storageAccounts/y",
            "subject": f"/blobServices/default/containers/{BUCKET}/blobs/{key}",
            "eventType": f"Microsoft.Storage.Blob{'Deleted' if removed else 'Created'}",
            "data": {"api": "PutBlob", "url": f"https://y.example/{BUCKET}/{key}"},
        }
    ]


def cloud_event(key: str, *, removed: bool = False) -> dict[str, Any]:
    """The same in that of CloudEvents."""
    (event,) = event_grid(key, removed=removed)
    return {
        "specversion": "1.0",
        "type": event["eventType"],
        "subject": event["subject"],
        "data": event["data"],
    }


def handshake(code: str) -> list[dict[str, Any]]:
    """What Event Grid asks before it sends anything."""
    return [
        {
            "id": "2d1781af",
            "topic": "/subscriptions/x",
            "subject": "",
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": code, "validationUrl": "https://y.example/validate"},
        }
    ]


SHAPES: dict[str, Callable[..., Any]] = {
    "s3": s3,
    "sns": sns,
    "event bridge": event_bridge,
    "pub/sub": pub_sub,
    "event grid": event_grid,
    "cloud event": cloud_event,
}
