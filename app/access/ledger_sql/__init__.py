"""The ledger in a SQL database: SQLite, PostgreSQL, MySQL or MariaDB."""

from __future__ import annotations

from app.access.ledger_sql.counting import SqlAttempts, SqlOnce
from app.access.ledger_sql.database import Database
from app.access.ledger_sql.publishers import SqlPublishers
from app.access.ledger_sql.sessions import SqlSessions
from app.access.ledger_sql.subjects import SqlSubjects
from app.access.ledger_sql.tables import lay_out
from app.access.ledger_sql.tokens import SqlTokens
from app.access.ledger_sql.trail import SqlTrail
from app.sql import database

__all__ = ["SqlLedger", "lay_out"]


class SqlLedger:
    """A Ledger in a database whose tables ``lay_out`` made."""

    def __init__(self, database: database.Database) -> None:
        kept = Database(database)
        self.tokens = SqlTokens(kept)
        self.publishers = SqlPublishers(kept)
        self.sessions = SqlSessions(kept)
        self.subjects = SqlSubjects(kept)
        self.once = SqlOnce(kept)
        self.attempts = SqlAttempts(kept)
        self.trail = SqlTrail(kept)
