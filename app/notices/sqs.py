"""Notices from a queue of SQS, each received, handled and only then removed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from app import aws, errors
from app.notices.options import NotificationOptions

WAIT = 20
"""Seconds that the queue holds a question while it is empty (long polling)."""
MARGIN = 10
PAUSE = 5.0
"""Seconds after something failed, at the first time; longer each time, up to LONGEST."""
LONGEST = 60.0
BATCH = 10

_WRONG = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAddress",
        "InvalidClientTokenId",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

logger = logging.getLogger(__name__)

Hear = Callable[[bytes], Awaitable[object]]
"""Handles a body; raises errors.Invalid for one that no trying again helps."""


@dataclass(slots=True)
class Received:
    """Messages: ``handled`` to the end, ``returned`` for later, ``removed`` as unreadable."""

    handled: int = 0
    returned: int = 0
    removed: int = 0


class Refused(errors.Unavailable):
    """An answer of SQS that is an error."""

    def __init__(self, error: ClientError) -> None:
        self.code = str(error.response.get("Error", {}).get("Code", ""))
        super().__init__(f"SQS answers {self.code}: {aws.said(error)}".rstrip(": "))


@asynccontextmanager
async def polling(options: NotificationOptions, hear: Hear) -> AsyncIterator[Received]:
    """Poll the queue of the options while the block runs; what was received is counted.

    Raises errors.Misconfigured where the queue does not exist or may not be read. One that
    cannot be reached is asked again and again.
    """
    # The SDK reads its files while it makes a client.
    client = await asyncio.get_running_loop().run_in_executor(None, _made_in_thread, options)
    try:
        poller = Poller(client, options, hear)
        await poller.try_out()
        polls = asyncio.create_task(poller.run())
        try:
            yield poller.received
        finally:
            polls.cancel()
            await asyncio.gather(polls, return_exceptions=True)
    finally:
        await client.close()


class Poller:
    """Receives messages and has them handled."""

    def __init__(self, client: Any, options: NotificationOptions, hear: Hear) -> None:
        self._client = client
        self._options = options
        self._hear = hear
        self._failed = 0
        self.received = Received()

    async def try_out(self) -> None:
        """See that the queue can be asked."""
        try:
            await self._ask("get_queue_attributes", AttributeNames=["QueueArn"])
        except Refused as refused:
            if refused.code in _WRONG:
                raise errors.Misconfigured(
                    "PYPICLOUD_NOTIFICATIONS__SQS_URL: the credentials need sqs:ReceiveMessage, "
                    f"sqs:DeleteMessage and sqs:GetQueueAttributes on the queue: {refused}"
                ) from None
            logger.warning("the queue of notices does not answer yet: %s", refused)
        except errors.Unavailable as why:
            logger.warning("the queue of notices does not answer yet: %s", why)

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            try:
                ended = await self._poll()
            except errors.Unavailable as why:
                ended = False
                if not self._failed:
                    logger.warning("notices will be received later: %s", why)
            except Exception:  # a task that ends hears nothing any more
                ended = False
                logger.exception("notices will be received later")
            self._failed = 0 if ended else self._failed + 1
            if self._failed:
                pause = min(LONGEST, PAUSE * 2 ** min(self._failed - 1, 8))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter

    async def _poll(self) -> bool:
        """Up to ten messages; whether storage and cache could be asked about them."""
        answer = await self._ask(
            "receive_message",
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT,
            VisibilityTimeout=int(self._options.visibility.total_seconds()),
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        messages = answer.get("Messages", [])
        done = await asyncio.gather(*map(self._handle, messages))
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, (message, over) in enumerate(zip(messages, done, strict=True))
            if over
        ]
        if entries:
            # What cannot be removed comes again, and changes nothing.
            await self._ask("delete_message_batch", Entries=entries)
        return None not in done

    async def _handle(self, message: dict[str, Any]) -> bool | None:
        """Whether the message is to be removed; None where nothing could be asked about it."""
        try:
            # Well before another may receive it.
            async with asyncio.timeout(self._options.visibility.total_seconds() * 0.75):
                await self._hear(message["Body"].encode())
        except (errors.Unavailable, TimeoutError) as why:
            if not self._failed:
                logger.warning("a notice comes again later: %s", why or "it took too long")
            self.received.returned += 1
            return None
        except errors.Invalid as why:
            return self._unreadable(message, str(why))
        except Exception as why:  # a defect of ours is not to be met for ever
            logger.exception("a notice cannot be handled")
            return self._unreadable(message, type(why).__name__)
        self.received.handled += 1
        return True

    def _unreadable(self, message: dict[str, Any], why: str) -> bool:
        """Often enough: where the queue has one of dead letters, it takes the message before."""
        count = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        if count < self._options.receives:
            self.received.returned += 1
            return False
        logger.error("the message %s is removed: %s", message.get("MessageId"), why)
        self.received.removed += 1
        return True

    async def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await getattr(self._client, operation)(
                QueueUrl=self._options.sqs_url, **parameters
            )
        except ClientError as error:
            raise Refused(error) from None
        except aws.BROKEN as error:
            raise errors.Unavailable(f"SQS {aws.broken(error)}") from None
        return answer


def _made_in_thread(options: NotificationOptions) -> Any:
    making = _made(options)
    return aws.made_in_thread(making, service="SQS", group="NOTIFICATIONS", refused=Refused)


async def _made(options: NotificationOptions) -> Any:
    if options.ca_file is not None and not options.ca_file.is_file():
        raise ValueError(
            f"there is no file {options.ca_file}, which PYPICLOUD_NOTIFICATIONS__CA_FILE names"
        )
    session = aws.session(options, options.queue_region)
    await aws.found(await session.get_credentials())
    config = AioConfig(
        connect_timeout=5,
        read_timeout=WAIT + MARGIN,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return await session.client(
        "sqs",
        endpoint_url=options.endpoint_url,
        verify=str(options.ca_file) if options.ca_file else None,
        config=config,
    ).__aenter__()
