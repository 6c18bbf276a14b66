"""Two sites on one bucket: what one publishes, the other shows when S3 has told it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from ulid import ULID

from tests.factories import make_wheel
from tests.invariants.server import Server, listed, manage, upload
from tests.servers import s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_what_another_site_publishes_is_shown(tmp_path: Path) -> None:
    """Each has a cache of its own; the second one polls the queue that the bucket tells."""
    store, bucket = s3.ministack(), f"b{ULID()}".lower()
    place = {
        "endpoint_url": store.endpoint_url,
        "region_name": s3.REGION,
        "aws_access_key_id": store.access_key_id,
        "aws_secret_access_key": store.secret_access_key,
    }
    queues, buckets = boto3.client("sqs", **place), boto3.client("s3", **place)
    url = queues.create_queue(QueueName=bucket)["QueueUrl"]
    named = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    rule = {
        "QueueArn": named["Attributes"]["QueueArn"],
        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "site/journal/"}]}},
    }
    buckets.create_bucket(Bucket=bucket)
    buckets.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    settings = {"STORAGE": f"s3://{bucket}/site", "DELIVERY": "stream"}
    settings |= {f"S3__{name.upper()}": str(value) for name, value in store.options.items()}
    make: Callable[..., Server] = Server
    one = make(tmp_path / "one", **settings)
    settings |= {"NOTIFICATIONS__SQS_URL": url, "NOTIFICATIONS__ENDPOINT_URL": store.endpoint_url}
    other = make(tmp_path / "other", **settings)
    try:
        one.start()
        other.start()
        made = make_wheel("demo", "1.0")
        assert upload(one, made, "demo", "1.0").status_code == 200
        deadline = time.monotonic() + 60
        while made.filename not in listed(other, "demo"):
            assert time.monotonic() < deadline, other.log
            time.sleep(0.05)
        heard = manage(other, "GET", "notifications").json()
        assert heard["repaired"] >= 1
        yanked = manage(one, "PATCH", "projects/demo/releases/1.0", {"yanked": "why"})
        assert yanked.status_code == 200
        while not listed(other, "demo")[made.filename].get("yanked"):
            assert time.monotonic() < deadline, other.log
            time.sleep(0.05)
        assert "Traceback" not in other.log
    finally:
        for server in (one, other):
            server.close()
        for client in (queues, buckets):
            client.close()
