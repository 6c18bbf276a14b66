"""Opening the table: whatever is wrong with it, or with who we are, is one line at the start."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from app import errors
from app.cache.dynamodb import sdk
from app.cache.dynamodb.cache import DynamoDBCache
from app.cache.dynamodb.failures import Refused
from app.cache.dynamodb.records import PART, SORT
from app.cache.dynamodb.table import Pace, Table
from app.cache.options import DynamoDBOptions

SUFFIX = "cache"
PATIENCE = 60
"""Seconds within which a table that is made, or removed, must be there, or gone."""
KEEP_EVERY = 3600
"""Seconds."""

_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+\Z")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
_SCHEMA = [{"AttributeName": PART, "KeyType": "HASH"}, {"AttributeName": SORT, "KeyType": "RANGE"}]
_STRINGS = [{"AttributeName": name, "AttributeType": "S"} for name in (PART, SORT)]
_STRANGERS = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
_RIGHTS = (
    "dynamodb:DescribeTable, CreateTable, GetItem, Query, BatchGetItem, PutItem, DeleteItem "
    "and BatchWriteItem on it"
)

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[DynamoDBCache]:
    """The cache in ``dynamodb://REGION/TABLE-PREFIX``; options are those of DynamoDBOptions.

    The table is TABLE-PREFIX with ``-cache`` behind it; where there is none it is made. Raises
    errors.Misconfigured where it cannot work, errors.CacheUnavailable where it does not answer.
    """
    region, name = _place(url)
    chosen = DynamoDBOptions.of(options)
    # The SDK reads its files while it makes a client.
    client = await asyncio.get_running_loop().run_in_executor(
        None, sdk.made_in_thread, region, chosen
    )
    try:
        table = Table(client, name, timeout=chosen.timeout.total_seconds(), made=_made)
        await _entered(table, client.meta.endpoint_url)
        cache = DynamoDBCache(table)
        await cache.enter()
        keeping = [asyncio.create_task(_kept(cache)), asyncio.create_task(_swept(cache))]
        try:
            yield cache
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await cache.settled()
    finally:
        await client.close()


def _place(url: str) -> tuple[str, str]:
    """The region, and the name of the table."""
    try:
        parts = urlsplit(url)
        region, prefix = parts.netloc, parts.path.removeprefix("/").rstrip("/")
    except ValueError:
        region = prefix = ""
    if not _REGION.match(region) or not _PREFIX.match(prefix) or parts.query or parts.fragment:
        raise errors.Misconfigured(
            "Write the cache as dynamodb://REGION/TABLE-PREFIX, such as "
            "dynamodb://eu-central-1/pypicloud; the prefix has letters, digits, '_', '.' and '-'."
        )
    return region, f"{prefix}-{SUFFIX}"


async def _entered(table: Table, endpoint: str) -> None:
    """See that the table can be used; make it where there is none."""
    name = f"The table {table.name!r}"
    try:
        await _made(table)
    except Refused as refused:
        raise _explained(refused, name) from None
    except errors.CacheUnavailable as error:
        raise errors.CacheUnavailable(f"{name} at {endpoint}: {error}") from None


async def _made(table: Table) -> None:
    """Wait until the table is there, making it if need be; its keys must be as ours."""
    pace = Pace(PATIENCE)
    while True:
        status = await _status(table)
        if status is None:
            await _make(table)
        elif status in ("ACTIVE", "UPDATING"):
            return
        elif status not in ("CREATING", "DELETING"):
            raise errors.Misconfigured(f"The table {table.name!r} is {status.lower()}")
        if not await pace.pause():
            state = (status or "absent").lower()
            raise errors.CacheUnavailable(f"The table is {state}, still after {PATIENCE} s")


async def _status(table: Table) -> str | None:
    try:
        answer = await table.ask("describe_table", TableName=table.name)
    except Refused as refused:
        if refused.absent:
            return None
        raise
    found = answer["Table"]
    types = {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
    schema = [(one["AttributeName"], one["KeyType"]) for one in found["KeySchema"]]
    wanted = [(one["AttributeName"], one["KeyType"]) for one in _SCHEMA]
    if sorted(schema) != sorted(wanted) or {types[PART], types[SORT]} != {"S"}:
        raise errors.Misconfigured(
            f"The table {table.name!r} is another one's: its key must be the string {PART!r} "
            f"with the sort key {SORT!r}, a string; choose another prefix"
        )
    return str(found["TableStatus"])


async def _make(table: Table) -> None:
    try:
        await table.ask(
            "create_table",
            TableName=table.name,
            KeySchema=_SCHEMA,
            AttributeDefinitions=_STRINGS,
            BillingMode="PAY_PER_REQUEST",
        )
    except Refused as refused:
        if refused.code != "ResourceInUseException":
            raise
    else:
        logger.info("made the table %s", table.name)


def _explained(refused: Refused, name: str) -> errors.PypicloudError:
    if refused.code in _STRANGERS:
        return errors.Misconfigured(f"{name}: the credentials are not accepted: {refused}")
    if refused.code.startswith("AccessDenied"):
        return errors.Misconfigured(f"{name}: the credentials need {_RIGHTS}: {refused}")
    return refused if refused.transient else errors.Misconfigured(f"{name}: {refused}")


async def _kept(cache: DynamoDBCache) -> None:
    while True:
        await asyncio.sleep(KEEP_EVERY)
        try:
            await cache.keep()
        except errors.CacheUnavailable as why:
            logger.warning("the cache will be kept later: %s", why)


async def _swept(cache: DynamoDBCache) -> None:
    while True:
        await cache.swept.wait()
        cache.swept.clear()
        try:
            await cache.sweep()
        except errors.CacheUnavailable as why:
            logger.warning("the table will be swept later: %s", why)
        await asyncio.sleep(1)
