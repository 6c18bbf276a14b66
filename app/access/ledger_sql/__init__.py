"""The ledger in a SQL database: SQLite, PostgreSQL, MySQL or MariaDB."""

from __future__ import annotations

from app.access.ledger_sql.counting import SqlAttempts, SqlOnce
from app.access.ledger_sql.database import Database, Engines
from app.access.ledger_sql.publishers import SqlPublishers
from app.access.ledger_sql.sessions import SqlSessions
from app.access.ledger_sql.subjects import SqlSubjects
from app.access.ledger_sql.tables import lay_out
from app.access.ledger_sql.tokens import SqlTokens
from app.access.ledger_sql.trail import SqlTrail

__all__ = ["SqlLedger", "lay_out"]


class SqlLedger:
    """A Ledger over two engines; ``lay_out`` made the tables."""

    def __init__(self, engines: Engines) -> None:
        database = Database(engines)
        self.tokens = SqlTokens(database)
        self.publishers = SqlPublishers(database)
        self.sessions = SqlSessions(database)
        self.subjects = SqlSubjects(database)
        self.once = SqlOnce(database)
        self.attempts = SqlAttempts(database)
        self.trail = SqlTrail(database)
