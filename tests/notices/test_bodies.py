"""What object stores send, read without any of them."""

from __future__ import annotations

import json

import pytest

from app import errors
from app.notices.bodies import MOST, Body, Notice, parse
from tests.notices import shapes
from tests.notices.shapes import BUCKET, SHAPES

KEY = "site a/journal/demo/demo-1.0+local-py3-none-any.whl/0000000001.json"


def said(body: object) -> bytes:
    """As it comes."""
    return json.dumps(body).encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_tells_key_bucket_and_what_was_done(shape: str) -> None:
    """Pluses and spaces of a key are as they were, whatever the store makes of them."""
    for removed in (False, True):
        found = parse(said(SHAPES[shape](KEY, removed=removed)))
        assert found == Body(notices=(Notice(key=KEY, bucket=BUCKET, written=not removed),))


def test_a_plain_list_of_keys() -> None:
    """It says nothing of buckets, and not what was done."""
    assert parse(b'{"keys": ["a", "b"]}').notices == (Notice(key="a"), Notice(key="b"))


def test_several_at_once() -> None:
    """S3 and Event Grid may tell of many keys in one body."""
    assert [n.key for n in parse(said(shapes.s3("a", "b"))).notices] == ["a", "b"]
    events = [*shapes.event_grid("a"), *shapes.event_grid("b")]
    assert [n.key for n in parse(said(events)).notices] == ["a", "b"]


def test_pub_sub_without_attributes() -> None:
    """Then the object itself says where it is."""
    body = shapes.pub_sub(KEY)
    del body["message"]["attributes"]
    assert parse(said(body)).notices == (Notice(key=KEY, bucket=BUCKET, written=False),)


def test_what_tells_of_no_key() -> None:
    """A test of S3's, and events of other things, are empty."""
    assert parse(b'{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}') == Body()
    other = {"eventType": "Microsoft.Storage.DirectoryCreated", "subject": "/x", "data": {}}
    assert parse(said([other])) == Body()
    assert parse(said([{**other, "eventType": "Other.Thing"}])) == Body()


def test_the_handshake_of_event_grid() -> None:
    """Its code is to be said back."""
    assert parse(said(shapes.handshake("512d38b6"))) == Body(handshake="512d38b6")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b"null",
        b"7",
        b'"keys"',
        b"{}",
        b"[7]",
        b"[[]]",
        b'{"keys": "journal/"}',
        b'{"keys": [7]}',
        b'{"keys": {"a": 1}}',
        b'{"Records": {}}',
        b'{"Records": [{}]}',
        b'{"Records": [{"s3": {"object": {"key": "%ff"}, "bucket": {"name": "b"}}}]}',
        b'{"Type": "Notification", "Message": "no JSON"}',
        b'{"Type": "Notification", "Message": "{\\"Type\\": \\"Notification\\"}"}',
        b'{"Type": "SubscriptionConfirmation", "SubscribeURL": "https://x.example"}',
        b'{"message": {}}',
        b'{"message": {"data": "%%%"}}',
        b'{"source": "aws.s3"}',
        b'[{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {}}]',
        b"[" * 100_000,
        json.dumps({"keys": ["a"] * (MOST + 1)}).encode(),
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_everything_else_is_refused(body: bytes) -> None:
    """With one error, whatever it is."""
    with pytest.raises(errors.Invalid):
        parse(body)
