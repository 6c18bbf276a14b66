"""``pypicloud serve`` on each kind of access, as its settings name it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from passlib import hash as others
from ulid import ULID

from tests.cli.test_serve import running
from tests.conftest import ADMIN
from tests.servers import acl, dynamodb, ldap, secrets

Environment = Mapping[str, str]
Place = Callable[[Path], AbstractAsyncContextManager[Environment]]
EDITED = {"PYPICLOUD_ADMIN_PASSWORD": ADMIN[1]}
KEYS = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}
ALICE = ("alice", "alice reads here")
HASH = others.sha512_crypt.using(rounds=1000).hash(ALICE[1])


def named(prefix: str, **options: str) -> dict[str, str]:
    """Settings of a group."""
    return {f"PYPICLOUD_{prefix}__{name}": value for name, value in options.items()}


@asynccontextmanager
async def a_file(folder: Path) -> AsyncIterator[Environment]:
    """Users in a file, which nobody edits."""
    users = folder / "users.toml"
    users.write_text(f'admins = ["admin"]\n[users]\nadmin = "{HASH}"\nalice = "{HASH}"\n')
    yield {"PYPICLOUD_ACCESS": f"config:{users}"}


@asynccontextmanager
async def a_file_and_a_database(folder: Path) -> AsyncIterator[Environment]:
    """Those of the file first, then those who are edited."""
    users = folder / "users.toml"
    users.write_text(f'[users]\nalice = "{HASH}"\n')
    database = f"sqlite+aiosqlite:///{folder}/access.db"
    yield {"PYPICLOUD_ACCESS": f"config:{users},{database}", **EDITED}


@asynccontextmanager
async def two_databases(folder: Path) -> AsyncIterator[Environment]:
    """Whoever is new is made in the first."""
    urls = [f"sqlite+aiosqlite:///{folder}/{name}.db" for name in ("one", "two")]
    yield {"PYPICLOUD_ACCESS": ",".join(urls), **EDITED}


@asynccontextmanager
async def a_directory(folder: Path) -> AsyncIterator[Environment]:
    """OpenLDAP."""
    yield {
        "PYPICLOUD_ACCESS": ldap.server().url,
        **named(
            "LDAP",
            BIND_DN=ldap.SERVICE[0],
            BIND_PASSWORD=ldap.SERVICE[1],
            BASE_DN=ldap.PEOPLE,
            USER_FILTER="(&(objectClass=inetOrgPerson)(uid={username}))",
        ),
    }


@asynccontextmanager
async def a_directory_and_a_database(folder: Path) -> AsyncIterator[Environment]:
    """Those of the directory first, then those who are edited."""
    database = f"sqlite+aiosqlite:///{folder}/access.db"
    async with a_directory(folder) as alone:
        yield {**alone, "PYPICLOUD_ACCESS": f"{ldap.server().url},{database}", **EDITED}


@asynccontextmanager
async def another_server(folder: Path) -> AsyncIterator[Environment]:
    """One that speaks as PyPICloud 1 asked."""
    async with acl.serving() as server:
        own = named("REMOTE", USERNAME=acl.CREDENTIALS[0], PASSWORD=acl.CREDENTIALS[1])
        yield {"PYPICLOUD_ACCESS": server.url, **own}


@asynccontextmanager
async def a_table(folder: Path) -> AsyncIterator[Environment]:
    """DynamoDB."""
    async with dynamodb.place("access") as url:
        own = named("DYNAMODB", ENDPOINT_URL=dynamodb.server().endpoint_url, **KEYS)
        yield {"PYPICLOUD_ACCESS": url, **own, **EDITED}


@asynccontextmanager
async def a_secret(folder: Path) -> AsyncIterator[Environment]:
    """Secrets Manager."""
    name = f"t{ULID()}"
    endpoint = f"http://127.0.0.1:{secrets.port()}"
    own = named("AWS_SECRETS", ENDPOINT_URL=endpoint, REGION=secrets.REGION, CREATE="true", **KEYS)
    yield {"PYPICLOUD_ACCESS": f"aws-secrets:{name}", **own, **EDITED}
    assert "admin" in json.dumps(secrets.document(name))


PLACES: dict[Place, tuple[str, str]] = {
    a_file: ALICE,
    a_file_and_a_database: ADMIN,
    two_databases: ADMIN,
    a_directory: ("alice", ldap.PASSWORD),
    a_directory_and_a_database: ADMIN,
    another_server: ("alice", acl.PASSWORD),
    a_table: ADMIN,
    a_secret: ADMIN,
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_it_serves_those_who_are_known_there(place: Place, tmp_path: Path) -> None:
    """It starts with no more than the settings, and who is known there may read."""
    async with place(tmp_path) as environment:
        status = await asyncio.to_thread(_read_as, PLACES[place], tmp_path, environment)
    assert status == (401, 200)
    assert {path.name for path in tmp_path.iterdir()} <= {
        *("data", "log", "users.toml", "access.db", "access.db-shm", "access.db-wal"),
        *(f"{name}.db{end}" for name in ("one", "two") for end in ("", "-shm", "-wal")),
    }


def _read_as(who: tuple[str, str], folder: Path, environment: Environment) -> tuple[int, int]:
    with running(folder, **environment) as (url, _):
        nobody = httpx.get(f"{url}/simple/", trust_env=False)
        known = httpx.get(f"{url}/simple/", auth=who, trust_env=False)
    return nobody.status_code, known.status_code
