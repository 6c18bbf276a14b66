"""A queue of SQS, on a server that speaks it: received, handled, removed; or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import pytest
from ulid import ULID

from app import errors
from app.notices import sqs
from app.notices.options import NotificationOptions
from tests.notices import shapes
from tests.servers import s3

KEY = "journal/demo/@project/0000000001.json"


class Ear:
    """Remembers what it heard; ``fail`` is raised instead."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.fail: Exception | None = None

    async def hear(self, body: bytes) -> None:
        if self.fail is not None:
            raise self.fail
        said = json.loads(body)
        if said == "nonsense":
            raise errors.Invalid("nonsense")
        self.heard.append(said)


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    """Somebody else's client of the server."""
    server = s3.ministack()
    async with aioboto3.Session().client("sqs", **_place(server)) as found:
        yield found


@pytest.fixture
async def url(client: Any) -> str:
    """An empty queue."""
    made = await client.create_queue(QueueName=f"q{ULID()}")
    found: str = made["QueueUrl"]
    return found


def _place(server: s3.S3Server) -> dict[str, str]:
    return {
        "endpoint_url": server.endpoint_url,
        "region_name": s3.REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


def options(url: str, **others: object) -> NotificationOptions:
    """The options for a queue of the server."""
    server = s3.ministack()
    return NotificationOptions.of(
        {
            "sqs_url": url,
            "endpoint_url": server.endpoint_url,
            "region": s3.REGION,
            "access_key_id": "test",
            "secret_access_key": "test",
            **others,
        }
    )


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long."""
    monkeypatch.setattr(sqs, "WAIT", 1)
    monkeypatch.setattr(sqs, "PAUSE", 0.1)


@asynccontextmanager
async def polling(url: str, ear: Ear, **others: object) -> AsyncIterator[sqs.Received]:
    """A poller that has a second for each message."""
    async with sqs.polling(options(url, visibility="1 s", **others), ear.hear) as received:
        yield received


async def until(happened: Callable[[], object]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while not happened():
            await asyncio.sleep(0.02)


async def left(client: Any, url: str) -> int:
    """Messages in the queue, whoever has them in hand."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = await client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(found["Attributes"][name]) for name in names)


async def test_what_is_handled_is_removed(client: Any, url: str) -> None:
    """Every message is heard, more than fit into one answer, and none is left."""
    for number in range(13):
        await client.send_message(QueueUrl=url, MessageBody=json.dumps(number))
    ear = Ear()
    async with polling(url, ear) as received:
        await until(lambda: received.handled >= 13)
        async with asyncio.timeout(30):
            while await left(client, url):
                await asyncio.sleep(0.05)
    assert set(ear.heard) == set(range(13))
    assert received.removed == 0


async def test_what_cannot_be_handled_now_comes_again(client: Any, url: str) -> None:
    """However often: while storage or cache do not answer nothing is removed."""
    await client.send_message(QueueUrl=url, MessageBody="1")
    ear = Ear()
    ear.fail = errors.CacheUnavailable("It is down.")
    async with polling(url, ear, receives=1) as received:
        await until(lambda: received.returned >= 2)
        assert await left(client, url) == 1
        ear.fail = None
        await until(lambda: ear.heard)
    assert (received.handled, received.removed) == (1, 0)


@pytest.mark.parametrize("fail", [None, RuntimeError("a defect")])
async def test_poison_is_removed_after_a_while(
    client: Any, url: str, fail: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody can read, or what shows a defect of ours, is counted and gone in the end."""
    body = json.dumps("nonsense")
    await client.send_message(QueueUrl=url, MessageBody=body)
    ear = Ear()
    ear.fail = fail
    async with polling(url, ear, receives=2) as received:
        await until(lambda: received.removed)
        async with asyncio.timeout(30):
            while await left(client, url):
                await asyncio.sleep(0.05)
    assert (received.handled, received.returned, received.removed) == (0, 1, 1)
    assert "is removed" in caplog.text
    assert "nonsense" not in caplog.text.replace("is removed: nonsense", "")


async def test_a_queue_for_dead_letters_takes_poison_first(client: Any, url: str) -> None:
    """Where its count is the smaller one."""
    dead = (await client.create_queue(QueueName=f"d{ULID()}"))["QueueUrl"]
    named = await client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    arn = named["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    await client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    await client.send_message(QueueUrl=url, MessageBody=json.dumps("nonsense"))
    async with polling(url, Ear(), receives=100) as received:
        async with asyncio.timeout(60):
            while not await left(client, dead):
                await asyncio.sleep(0.1)
    assert (received.returned, received.removed) == (1, 0)


async def test_a_queue_that_does_not_exist_stops_the_start(url: str) -> None:
    """With one line that names the setting and the rights."""
    with pytest.raises(errors.Misconfigured, match=r"SQS_URL.*sqs:DeleteMessage") as raised:
        async with polling(f"{url}-not", Ear()):
            pass
    assert "\n" not in str(raised.value)


async def test_a_server_that_does_not_answer_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The service starts and goes on; the log says so once."""
    nobody = {"endpoint_url": "http://127.0.0.1:9"}
    async with polling("http://127.0.0.1:9/1/q", Ear(), **nobody):
        await until(lambda: "received later" in caplog.text)
        await asyncio.sleep(0.5)
    assert caplog.text.count("received later") == 1


async def test_events_of_a_bucket_arrive(client: Any, url: str) -> None:
    """S3's own: an object that somebody puts is told of, key and all."""
    server = s3.ministack()
    named = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    rule = {
        "QueueArn": named["Attributes"]["QueueArn"],
        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "journal/"}]}},
    }
    bucket = f"b{ULID()}".lower()
    async with aioboto3.Session().client("s3", **_place(server)) as store:
        await store.create_bucket(Bucket=bucket)
        await store.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
        )
        await store.put_object(Bucket=bucket, Key=KEY, Body=b"{}")
    ear = Ear()
    async with polling(url, ear):
        await until(lambda: any("Records" in said for said in ear.heard))
    records = [said["Records"][0] for said in ear.heard if "Records" in said]
    assert records[0]["s3"]["object"]["key"].replace("%40", "@") == KEY
    assert records[0]["s3"]["bucket"]["name"] == bucket
    shape = shapes.s3(KEY)["Records"][0]
    assert shape.keys() <= records[0].keys() | {"awsRegion"}


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q", "eu-central-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://us-east-1.queue.amazonaws.com/1/q", "us-east-1"),
        ("http://127.0.0.1:9324/1/q", None),
    ],
)
def test_the_region_is_that_of_the_url(url: str, region: str | None) -> None:
    """Unless one is set."""
    assert NotificationOptions(sqs_url=url).queue_region == region
    assert NotificationOptions(sqs_url=url, region="eu-west-1").queue_region == "eu-west-1"


def test_what_is_not_set_is_as_for_s3() -> None:
    """Keys and region of the bucket serve for the queue as well; own ones win, all together."""
    lender = NotificationOptions(access_key_id="a", secret_access_key="b")  # type: ignore[arg-type]
    url = "http://127.0.0.1/1/q"
    found = NotificationOptions(sqs_url=url).beside(lender, "eu-west-3")
    assert (found.access_key_id, found.queue_region) == ("a", "eu-west-3")
    own = NotificationOptions(sqs_url=url, profile="p", region="eu-west-1")
    assert own.beside(lender, "eu-west-3") == own


@pytest.mark.parametrize(
    "wrong",
    [
        {"sqs_url": "sqs.eu-central-1.amazonaws.com/1/q"},
        {"sqs_url": "https://user:password@sqs.example/1/q"},
        {"sqs_url": "https://sqs.example"},
        {"secret": "short"},
        {"secret": "with a space in the midst"},
        {"secret": "größer-als-sechzehn"},
        {"visibility": "0.5 s"},
        {"receives": 0},
    ],
    ids=str,
)
def test_options_that_cannot_be(wrong: dict[str, object]) -> None:
    """They stop the start, and the line does not repeat them."""
    with pytest.raises(errors.Misconfigured) as raised:
        NotificationOptions.of(wrong)
    assert str(next(iter(wrong.values()))) not in str(raised.value)
