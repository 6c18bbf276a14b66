"""The options of caches; importing them imports no vendor's library.

They are the settings groups ``PYPICLOUD_SQL__…`` and ``_REDIS__…`` as well.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from app.options import Options
from app.quantities import Duration


class SqlOptions(Options):
    """``timeout``: for a statement, and for other processes' writes. ``pool_size``: of readers.

    SQLite has readers of its own number.
    """

    timeout: Duration = timedelta(seconds=15)
    pool_size: int = Field(default=8, ge=1, le=100)


class RedisOptions(Options):
    """``prefix`` keeps the caches of one server apart; ``timeout`` is for a connection, and for
    each answer; ``service`` is how Sentinels call the server.

    What the URL says as well, its user and password included, holds instead.
    """

    username: str | None = None
    password: SecretStr | None = None
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None
    service: str = "mymaster"
    prefix: str = Field(default="pypicloud", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    timeout: Duration = timedelta(seconds=5)
    connections: int = Field(default=32, ge=1, le=1000)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
