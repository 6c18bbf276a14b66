"""Opening users, grants and the ledger in their table."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from app.access.dynamodb.failures import FAILURES
from app.access.dynamodb.keeper import DynamoDBKeeper
from app.access.dynamodb.ledger import DynamoDBLedger
from app.access.dynamodb.ledger.records import UNTIL
from app.access.kept import KeptAccess
from app.access.passwords import Passwords
from app.dynamodb.failures import Refused
from app.dynamodb.opening import Use, opened
from app.dynamodb.options import DynamoDBOptions
from app.dynamodb.table import Table

log = logging.getLogger(__name__)

USE = Use(
    what="access",
    suffix="access",
    rights="dynamodb:DescribeTable, CreateTable, DescribeTimeToLive, "
    "UpdateTimeToLive, GetItem, Query, BatchGetItem, "
    "PutItem, UpdateItem, DeleteItem, BatchWriteItem and ConditionCheckItem on it",
    failures=FAILURES,
    anew=False,
)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[DynamoDBAccess]:
    """Access in ``dynamodb://REGION/TABLE-PREFIX``.

    Options: ``dynamodb``, those of DynamoDBOptions; those of Passwords,
    and ``strangers``. The table is TABLE-PREFIX with ``-access`` behind it; where there
    is none it is made. Raises errors.Misconfigured where it cannot work,
    errors.AccessUnavailable where it does not answer.
    """
    passwords = Passwords.of(options)
    try:
        async with opened(url, DynamoDBOptions.of(options.get("dynamodb", {})), USE) as table:
            await _forgetful(table)
            access = DynamoDBAccess(table, passwords, strangers=options.get("strangers", False))
            try:
                yield access
            finally:
                await access.ledger.trail.settled()
    finally:
        await passwords.close()


async def _forgetful(table: Table) -> None:
    """Let DynamoDB remove what is over; where we may not, sweeping does it alone."""
    wanted = {"AttributeName": UNTIL, "Enabled": True}
    try:
        found = await table.ask("describe_time_to_live", TableName=table.name)
        if found["TimeToLiveDescription"].get("TimeToLiveStatus", "DISABLED") == "DISABLED":
            await table.ask(
                "update_time_to_live", TableName=table.name, TimeToLiveSpecification=wanted
            )
    except Refused as refused:
        if refused.transient:
            raise
        log.warning("what is over stays in %s until it is swept: %s", table.name, refused)


class DynamoDBAccess(KeptAccess):
    """An EditableAccess in a table, with a ledger beside it."""

    def __init__(self, table: Table, passwords: Passwords, *, strangers: bool = False) -> None:
        super().__init__(DynamoDBKeeper(table), passwords, strangers=strangers)
        self.ledger = DynamoDBLedger(table)
