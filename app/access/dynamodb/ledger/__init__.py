"""The ledger in the table of access."""

from __future__ import annotations

from app.access.dynamodb.ledger.counting import DynamoDBAttempts, DynamoDBOnce
from app.access.dynamodb.ledger.publishers import DynamoDBPublishers
from app.access.dynamodb.ledger.sessions import DynamoDBSessions
from app.access.dynamodb.ledger.subjects import DynamoDBSubjects
from app.access.dynamodb.ledger.tokens import DynamoDBTokens
from app.access.dynamodb.ledger.trail import DynamoDBTrail
from app.dynamodb.table import Table

__all__ = ["DynamoDBLedger"]


class DynamoDBLedger:
    """A Ledger in a table."""

    def __init__(self, table: Table) -> None:
        self.tokens = DynamoDBTokens(table)
        self.publishers = DynamoDBPublishers(table, self.tokens)
        self.sessions = DynamoDBSessions(table)
        self.subjects = DynamoDBSubjects(table)
        self.once = DynamoDBOnce(table)
        self.attempts = DynamoDBAttempts(table)
        self.trail = DynamoDBTrail(table)
