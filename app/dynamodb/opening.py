"""Opening a table: whatever is wrong with it, or with who we are, is one line at the start."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from app import errors
from app.dynamodb import sdk
from app.dynamodb.failures import Failures, Refused
from app.dynamodb.keys import PART, SORT
from app.dynamodb.options import DynamoDBOptions
from app.dynamodb.table import Pace, Table

PATIENCE = 60
"""Seconds within which a table that is made, or removed, must be there, or gone."""

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

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a room has its table for.

    ``what`` is how messages call it, ``suffix`` ends the table's name, ``rights`` are those
    that the credentials need. ``anew``: a table that is gone while we serve is made again.
    """

    what: str
    suffix: str
    rights: str
    failures: Failures
    anew: bool


@asynccontextmanager
async def opened(url: str, options: DynamoDBOptions, use: Use) -> AsyncIterator[Table]:
    """The table in ``dynamodb://REGION/TABLE-PREFIX``; where there is none it is made.

    Raises errors.Misconfigured where it cannot work, ``use.failures.unavailable`` where it
    does not answer.
    """
    region, prefix = _place(url, use)
    # The SDK reads its files while it makes a client.
    client = await asyncio.get_running_loop().run_in_executor(
        None, sdk.made_in_thread, region, options
    )
    try:
        table = Table(
            client,
            f"{prefix}-{use.suffix}",
            timeout=options.timeout.total_seconds(),
            failures=use.failures,
            anew=_made if use.anew else None,
        )
        await _entered(table, client.meta.endpoint_url, use)
        try:
            yield table
        finally:
            await table.close()
    finally:
        await client.close()


def _place(url: str, use: Use) -> tuple[str, str]:
    """The region, and how the name of the table begins."""
    try:
        parts = urlsplit(url)
        region, prefix = parts.netloc, parts.path.removeprefix("/").rstrip("/")
    except ValueError:
        region = prefix = ""
    if not _REGION.match(region) or not _PREFIX.match(prefix) or parts.query or parts.fragment:
        raise errors.Misconfigured(
            f"Write {use.what} as dynamodb://REGION/TABLE-PREFIX, such as "
            "dynamodb://eu-central-1/pypicloud; the prefix has letters, digits, '_', '.' and '-'."
        )
    return region, prefix


async def _entered(table: Table, endpoint: str, use: Use) -> None:
    """See that the table can be used; make it where there is none."""
    name = f"The table {table.name!r}"
    try:
        await _made(table)
    except Refused as refused:
        raise _explained(refused, name, use) from None
    except errors.Unavailable as error:
        raise use.failures.unavailable(f"{name} at {endpoint}: {error}") from None


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
            raise table.failures.unavailable(f"The table is {state}, still after {PATIENCE} s")


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


def _explained(refused: Refused, name: str, use: Use) -> errors.PypicloudError:
    if refused.code in _STRANGERS:
        return errors.Misconfigured(f"{name}: the credentials are not accepted: {refused}")
    if refused.code.startswith("AccessDenied"):
        return errors.Misconfigured(f"{name}: the credentials need {use.rights}: {refused}")
    return refused if refused.transient else errors.Misconfigured(f"{name}: {refused}")
