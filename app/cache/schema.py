"""The tables. What can be rebuilt belongs to one version of them; serials and changes to all.

What the index asks for is kept ready as JSON, one column to decode; beside it stand only
the columns by which rows are found and compared. The tables ``meta``, ``layouts`` and
``history`` are the same in all versions, and so is what stands in them.
"""

from __future__ import annotations

import logging
import secrets
import time

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    exists,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from app import sql
from app.cache import rows
from app.sql.tables import MYSQL, OPTIONS, Alone, key

logger = logging.getLogger(__name__)

PREFIX = "pypicloud_cache_"
LAYOUT = f"{rows.VERSION:08x}"
"""The version, as the names of its tables end."""
ABANDONED = 7 * 86400
"""Seconds after which tables of a version that no process used are dropped."""
FORMER = ("files", "changes", "projects")
"""Tables of before they had a version in their names."""

_FOLDED = (
    Text()
    .with_variant(Text(collation="C"), "postgresql")
    .with_variant(Text(2**24 - 1, collation="utf8mb4_bin"), *MYSQL)
)
_JSON = LargeBinary(2**24 - 1)

shared = MetaData()
metadata = MetaData()

meta = Table(
    f"{PREFIX}meta",
    shared,
    Column("name", key(20), primary_key=True),
    Column("value", BigInteger, nullable=False),
    **OPTIONS,
)
"""The row ``serial``: the newest there is, and the lock of every write.

The row that ERA names differs after every ``clear``, and whenever tables were made anew.
"""
ERA = f"era {LAYOUT}"

layouts = Table(
    f"{PREFIX}layouts",
    shared,
    Column("layout", key(8), primary_key=True),
    Column("built", BigInteger, nullable=False),  # 1 where it is complete
    Column("since", BigInteger, nullable=False),  # it shows the changes above this serial
    Column("caught", BigInteger, nullable=False),  # up to here it missed nothing of the others
    Column("seen", BigInteger, nullable=False),  # when a process last used it, seconds since 1970
    **OPTIONS,
)
"""The versions of the tables that there are."""

history = Table(
    f"{PREFIX}history",
    shared,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("layout", key(8), nullable=False),  # whose tables the change went into
    Column("project", key(200)),
    Column("body", _JSON, nullable=False),  # models.Change
    **OPTIONS,
)

projects = Table(
    f"{PREFIX}projects_{LAYOUT}",
    metadata,
    Column("name", key(200), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("facts", _JSON, nullable=False),  # models.Project without files and serial
    Column("standing", _JSON),  # newest.Standing; NULL without files
    Column("line", _JSON),  # models.ProjectSummary; NULL where the project does not exist
    Column("folded", _FOLDED),  # the summary, casefolded
    **OPTIONS,
)
Index(f"{projects.name}_serial", projects.c.serial)
# SQLite searches by scanning this, a tenth of the table.
Index(
    f"{projects.name}_listed",
    projects.c.name,
    projects.c.folded,
    sqlite_where=projects.c.line.is_not(None),
).ddl_if(dialect="sqlite")
# Of the name in lower case, which it is in: an index of the name itself would be taken for
# finding projects by name as well, which it does badly.
_SEARCHED = (
    f"CREATE INDEX {projects.name}_searched ON {projects.name}"
    " USING gin (lower(name) gin_trgm_ops, folded gin_trgm_ops)"
)

files = Table(
    f"{PREFIX}files_{LAYOUT}",
    metadata,
    Column("project", key(200), primary_key=True),
    Column("filename", key(200), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("head", LargeBinary(255), nullable=False),
    Column("generation", key(64), nullable=False),
    Column("candidate", _JSON, nullable=False),  # newest.Candidate
    Column("body", _JSON, nullable=False),  # models.File
    **OPTIONS,
)


def lay_out(connection: Connection) -> int:
    """Make what is not there, in the transaction that ``connection`` is in; the present serial.

    Tables of other versions are left alone. This version counts as built only where all its
    tables were there, and no other version has written since it last was in step.
    """
    with Alone(connection):
        return _lay_out(connection)


def keep(connection: Connection) -> None:
    """Say that this version is in use, and drop those that nobody has used for long."""
    now = int(time.time())
    mine = layouts.c.layout == LAYOUT
    connection.execute(update(layouts).where(mine).values(seen=now))
    if not connection.execute(select(layouts.c.built).where(mine)).scalar():
        return
    abandoned = select(layouts.c.layout).where(layouts.c.seen < now - ABANDONED)
    for layout in connection.execute(abandoned).scalars().all():
        for kind in ("files", "projects"):
            Table(f"{PREFIX}{kind}_{layout}", MetaData()).drop(connection, checkfirst=True)
        connection.execute(layouts.delete().where(layouts.c.layout == layout))
        connection.execute(meta.delete().where(meta.c.name == f"era {layout}"))


def _era(connection: Connection) -> int | None:
    return connection.execute(select(meta.c.value).where(meta.c.name == ERA)).scalar()


def begin_era(connection: Connection) -> int:
    """Have what is held differ from all that was held before."""
    era = secrets.randbits(62)
    if connection.execute(update(meta).where(meta.c.name == ERA).values(value=era)).rowcount == 0:
        connection.execute(insert(meta).values(name=ERA, value=era))
    return era


def _lay_out(connection: Connection) -> int:
    shared.create_all(connection)
    there = set(inspect(connection).get_table_names())
    whole = {table.name for table in metadata.tables.values()} <= there
    metadata.create_all(connection)
    if not whole and connection.dialect.name == "postgresql":
        _index_trigrams(connection)
    for name in there & {f"{PREFIX}{former}" for former in FORMER}:
        Table(name, MetaData()).drop(connection)
    serial = connection.execute(select(meta.c.value).where(meta.c.name == "serial")).scalar()
    if serial is None:
        serial = connection.execute(select(func.coalesce(func.max(history.c.serial), 0))).scalar()
        connection.execute(insert(meta).values(name="serial", value=serial))
    if not whole or _era(connection) is None:
        begin_era(connection)
    known = connection.execute(select(layouts).where(layouts.c.layout == LAYOUT)).one_or_none()
    if known is None:
        row = {"layout": LAYOUT, "built": 0, "since": 0, "caught": serial, "seen": int(time.time())}
        connection.execute(insert(layouts), row)
    elif known.built and (not whole or _missed(connection, known.caught)):
        mine = layouts.c.layout == LAYOUT
        connection.execute(update(layouts).where(mine).values(built=0))
    return int(serial or 0)


def _index_trigrams(connection: Connection) -> None:
    """Have PostgreSQL search by an index, where its extension is there or may be made.

    It is a trusted one: whoever may create in the database may make it. Without it, and for
    terms of fewer than three characters, a search reads the table.
    """
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            connection.execute(text(_SEARCHED))
    except DBAPIError as error:
        logger.info("searches of the cache have no index: no pg_trgm (%s)", sql.kind(error))


def _missed(connection: Connection, caught: int) -> bool:
    """Whether another version's tables got what these have not."""
    foreign = exists().where(
        history.c.serial > caught, history.c.layout != LAYOUT, history.c.project.is_not(None)
    )
    return bool(connection.execute(select(foreign)).scalar())
