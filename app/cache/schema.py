"""The tables. Of another version of them only the serial is kept: the rest is rebuilt.

What the index asks for is kept ready as JSON, one column to decode; beside it stand only
the columns by which rows are found and compared.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

PREFIX = "pypicloud_cache_"

_MYSQL = ("mysql", "mariadb")


def _key(length: int) -> String:
    """Compared and ordered by code points, everywhere."""
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(String(length, collation="utf8mb4_bin"), *_MYSQL)
    )


_FOLDED = (
    Text()
    .with_variant(Text(collation="C"), "postgresql")
    .with_variant(Text(2**24 - 1, collation="utf8mb4_bin"), *_MYSQL)
)
_JSON = LargeBinary(2**24 - 1)

metadata = MetaData()

meta = Table(
    f"{PREFIX}meta",
    MetaData(),
    Column("name", _key(20), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""The version of the other tables, the newest serial, whether the cache was built.

This table is the same in all versions. Its row ``serial`` is the lock of every write.
"""

projects = Table(
    f"{PREFIX}projects",
    metadata,
    Column("name", _key(200), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("facts", _JSON, nullable=False),  # models.Project without files and serial
    Column("standing", _JSON),  # newest.Standing; NULL without files
    Column("line", _JSON),  # models.ProjectSummary; NULL where the project does not exist
    Column("folded", _FOLDED),  # the summary, casefolded
)

files = Table(
    f"{PREFIX}files",
    metadata,
    Column("project", _key(200), primary_key=True),
    Column("filename", _key(200), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("generation", _key(64), nullable=False),
    Column("candidate", _JSON, nullable=False),  # newest.Candidate
    Column("body", _JSON, nullable=False),  # models.File
)

changes = Table(
    f"{PREFIX}changes",
    metadata,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("body", _JSON, nullable=False),  # models.Change
)


def lay_out(connection: Connection, version: int) -> None:
    """Create the tables, in the transaction that ``connection`` is in.

    Drops those of another version first, and keeps their newest serial.
    """
    meta.create(connection, checkfirst=True)
    before = dict(connection.execute(select(meta.c.name, meta.c.value)).all())
    if before.get("version") == version:
        return
    for name in inspect(connection).get_table_names():
        if name.startswith(PREFIX) and name != meta.name:
            Table(name, MetaData()).drop(connection)
    metadata.create_all(connection, checkfirst=False)
    for name, value in (("version", version), ("serial", before.get("serial", 0)), ("built", 0)):
        if name in before:
            connection.execute(update(meta).where(meta.c.name == name).values(value=value))
        else:
            connection.execute(insert(meta).values(name=name, value=value))
