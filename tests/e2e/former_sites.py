"""Sites of PyPICloud 1.3.12, one for each way to keep files, people and the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
from redis import Redis
from ulid import ULID

from tests import clouds
from tests.e2e.projects import Release
from tests.e2e.test_adopted import connected
from tests.former import database, hashes, ini, password
from tests.pypicloud import Old, old_sdist, write_file, write_object
from tests.servers import azurite, dynamodb, gcs, ldap, s3, secrets
from tests.servers.redis import start_redis
from tests.servers.running import own

LEAF = Release(name="Old.Leaf", version="2.1")
APP = Release(name="old-app", requires=["old-leaf>=2"])
USERS = hashes()
UPLOADER, MEMBER, MATE = "user-sha512-crypt", "user-bcrypt", "user-pbkdf2-sha256"


def old(release: Release, *, sdist: bool = False) -> Old:
    """A release as it was uploaded years ago."""
    made = release.sdist() if sdist else release.wheel()
    return Old(made=made, name=release.name, version=release.version, uploader=UPLOADER)


GOOD = (
    old(LEAF),
    old(LEAF, sdist=True),
    old(APP),
    old_sdist("old-app", "1.0-dev-r123"),
    old(Release(name="secret-pkg")),
)
ODD = replace(old(Release(name="odd", version="1.0")), more={"hash_sha256": "0" * 64})
"""Its bytes are not those that were recorded."""
DAMAGED, EGG, STRANGER = "the sha256 recorded for it is 000", "an egg", "gone"
"""Parts of what is said of what is left behind: the last is of permissions of nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A site. ``people`` are passwords by name; ``admin``, ``member``, ``mate`` are some of them.

    ``imported``: how many of them stood where they are brought over from. ``kept`` is what has
    to stay as it was: the old files, the old cache, the people in a secret. ``ends`` closes
    what is the site's own.
    """

    file: Path
    people: Mapping[str, str] = field(
        default_factory=lambda: {name: password(name) for name in USERS}
    )
    admin: str = UPLOADER
    member: str = MEMBER
    mate: str = MATE
    stranger: str = "user-argon2"
    nobody: Mapping[str, str] = field(default_factory=dict)
    imported: int = len(USERS)
    left: Sequence[str] = (DAMAGED, EGG, STRANGER)
    arguments: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    kept: Callable[[], Mapping[str, Any]]
    ends: ExitStack = field(default_factory=ExitStack)


def file_and_sql(folder: Path) -> Former:
    """Files in a folder, users in a database."""
    packages = folder / "packages"
    for each in (*GOOD, ODD):
        write_file(packages, each)
    (packages / "old-app" / "1.0" / "old_app-1.0-py2.7.egg").write_bytes(b"egg")
    database(
        folder / "users.sqlite",
        users=USERS,
        admins=[UPLOADER],
        groups={"devs": [UPLOADER, MATE], "empty": []},
        user_permissions=[("secret-pkg", MEMBER, True, False)],
        group_permissions=[
            ("secret-pkg", "devs", True, True),
            ("old-leaf", "everyone", True, False),
            ("secret-pkg", "gone", True, True),
        ],
    )
    old_ones = [path for path in folder.rglob("*") if path.is_file()]
    return Former(
        file=ini(
            folder / "production.ini",
            {
                "pypi.storage": "file",
                "storage.dir": "%(here)s/packages",
                "pypi.db": "sql",
                "db.url": "sqlite:///%(here)s/db.sqlite",
                "pypi.auth": "sql",
                "auth.db.url": "sqlite:///%(here)s/users.sqlite",
                "pypi.default_read": ["authenticated"],
                "session.secure": "true",
            },
        ),
        kept=lambda: {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in old_ones
        },
    )


def s3_and_config(folder: Path) -> Former:
    """Files in a bucket of S3, in both layouts, users in the configuration."""
    prefix = f"{ULID()}/"
    with connected() as client:
        for key, each in _keys(prefix):
            write_object(client, s3.BUCKET, key, each)
        client.put_object(Bucket=s3.BUCKET, Key=f"{prefix}ab12/old-app/old_app-1.egg", Body=b"e")

    def kept() -> dict[str, Any]:
        with connected() as client:
            found = client.list_objects_v2(Bucket=s3.BUCKET, Prefix=prefix)["Contents"]
            return {
                one["Key"]: (
                    one["ETag"],
                    client.head_object(Bucket=s3.BUCKET, Key=one["Key"])["Metadata"],
                )
                for one in found
            }

    return Former(
        file=ini(
            folder / "production.ini",
            {
                **clouds.s3_options(prefix),
                **_config(),
            },
        ),
        secrets=(s3.seaweed().secret_access_key,),
        kept=kept,
    )


def google_and_redis(folder: Path) -> Former:
    """Files in a bucket of Google Cloud Storage, users in the configuration, a cache in Redis."""
    # It ends in no slash: PyPICloud put it before the keys as it stands.
    prefix = f"{ULID()}/wheels-"
    for key, each in _keys(prefix):
        clouds.write_google("", key, replace(each, summary="Übergrößen, von früher"))
    egg = old(Release(name="old-app"))
    egg = replace(egg, made=egg.made._replace(filename="old_app-1.0-py2.7.egg"))
    clouds.write_google(prefix, "ab12/old-app/old_app-1.0-py2.7.egg", egg)
    ends = ExitStack()
    (folder / "redis").mkdir()
    running = ends.enter_context(own(start_redis, folder / "redis"))
    url = f"redis://127.0.0.1:{running.ports['redis']}/0"
    with Redis.from_url(url) as client:
        client.sadd("pypicloud:set", *{each.project for each in GOOD})
        for each in GOOD:
            name = each.made.filename
            client.sadd(f"pypicloud:set:{each.project}", name)
            facts = {"name": each.project, "version": each.version, "filename": name}
            told = {key: json.dumps(value) for key, value in each.fields.items()}
            client.hset(
                f"pypicloud:package:{name}",
                mapping={**facts, "last_modified": "1551675967.0", "summary": "", **told},
            )

    def kept() -> dict[str, Any]:
        with Redis.from_url(url) as client:
            return {
                **clouds.google_objects(prefix),
                **{key.decode(): client.dump(key) for key in client.scan_iter("pypicloud:*")},
            }

    key_file = folder / "service-account.json"
    key_file.write_bytes(Path(gcs.gcs().credentials("owner")).read_bytes())
    return Former(
        file=ini(
            folder / "production.ini",
            {
                **clouds.google_options(prefix),
                "storage.gcp_service_account_json_filename": key_file.name,
                "pypi.db": "redis",
                "db.url": url,
                **_config(),
            },
        ),
        secrets=json.loads(key_file.read_text())["private_key"].splitlines()[1:-1],
        kept=kept,
        ends=ends,
    )


def azure_and_ldap(folder: Path) -> Former:
    """Files in a container of Azure, users in a directory; groups in the configuration."""
    kept, options = _azure()
    directory = ldap.server()
    return Former(
        file=ini(
            folder / "production.ini",
            {
                **options,
                "pypi.auth": "ldap",
                "auth.ldap.url": directory.url,
                "auth.ldap.service_dn": ldap.SERVICE[0],
                "auth.ldap.service_password": ldap.SERVICE[1],
                "auth.ldap.base_dn": ldap.PEOPLE,
                "auth.ldap.user_search_filter": "(&(objectClass=inetOrgPerson)(uid={username}))",
                "auth.ldap.admin_field": "employeeType",
                "auth.ldap.admin_value": ["Site Admin", "Another"],
                "auth.ldap.cache_time": "300",
                "auth.ldap.fallback": "config",
                # Of no effect: whoever the directory does not know could not log in.
                "user.eve": USERS[MEMBER],
                "auth.admins": ["eve", "bob"],
                "group.devs": ["dora", "carol"],
                "package.secret-pkg.group.devs": "rw",
                "package.secret-pkg.user.alice": "r",
                "package.old-leaf.group.everyone": "r",
                "package.odd.user.gone.by": "sideways",
            },
        ),
        people=dict.fromkeys(("alice", "bob", "carol", "dora", "dev+ops"), ldap.PASSWORD),
        admin="dora",
        member="alice",
        mate="carol",
        stranger="bob",
        nobody={"eve": password(MEMBER)},
        imported=0,
        secrets=(azurite.KEY, ldap.SERVICE[1], ldap.PASSWORD),
        kept=kept,
    )


def copied_and_secret(folder: Path) -> Former:
    """Files in a container of Azure, to be copied into a folder; users in AWS Secrets Manager,
    a cache in DynamoDB."""
    blobs, options = _azure()
    variables = {
        "AZURE_STORAGE_ACCOUNT": options.pop("storage.storage_account_name"),
        "AZURE_STORAGE_KEY": options.pop("storage.storage_account_key"),
        "AZURE_STORAGE_SERVICE_ENDPOINT": options.pop("storage.storage_account_url"),
    }
    secret, namespace = f"pypi/{ULID()}", f"T{ULID()}-"
    document = {
        "users": USERS,
        "pending_users": {},
        "groups": {"devs": [UPLOADER, MATE]},
        "admins": [UPLOADER],
        "allow_registration": False,
        "packages": {
            "secret-pkg": {
                "groups": {"devs": ["read", "write"]},
                "users": {MEMBER: ["read"]},
            },
            "old-leaf": {"groups": {"everyone": ["read"]}, "users": {}},
        },
    }
    secrets.ask("CreateSecret", Name=secret, SecretString=json.dumps(document))
    server = dynamodb.server()
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    tables = boto3.resource(
        "dynamodb", endpoint_url=server.endpoint_url, region_name=dynamodb.REGION, **keys
    )
    table = tables.create_table(
        TableName=f"{namespace}DynamoPackage",
        KeySchema=[{"AttributeName": "filename", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "filename", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for each in GOOD:
        table.put_item(
            Item={
                "filename": each.made.filename,
                "name": each.project,
                "version": each.version,
                "last_modified": 1551675967,
                "data": {**each.fields, "path": options["storage.prefix"] + each.key("plain")},
            }
        )

    def kept() -> dict[str, Any]:
        rows = {row["filename"]: row for row in table.scan()["Items"]}
        return {**blobs(), **rows, "secret": secrets.document(secret)}

    return Former(
        file=ini(
            folder / "production.ini",
            {
                **options,
                "pypi.auth": "aws_secrets_manager",
                "auth.secret_id": secret,
                "auth.region_name": secrets.REGION,
                **{f"auth.{name}": value for name, value in keys.items()},
                "pypi.db": "dynamo",
                "db.host": "127.0.0.1",
                "db.port": str(server.port),
                "db.namespace": namespace,
                **{f"db.{name}": value for name, value in keys.items()},
            },
        ),
        imported=0,
        left=(DAMAGED, EGG),
        arguments=("--copy-to", f"file:{folder}/packages"),
        # It had no option for the endpoint of the secret, but its SDK knows a variable.
        variables={
            **variables,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://127.0.0.1:{secrets.port()}",
        },
        secrets=(azurite.KEY,),
        kept=kept,
    )


SITES: Mapping[str, Callable[[Path], Former]] = {
    "file-sql": file_and_sql,
    "s3-config": s3_and_config,
    "gcs-redis": google_and_redis,
    "azure-ldap": azure_and_ldap,
    "copied-secret-dynamo": copied_and_secret,
}


def _keys(prefix: str) -> list[tuple[str, Old]]:
    """Where files lie in a bucket: with and without the hash before the name."""
    return [
        (prefix + each.key("plain" if number % 2 else "hashed"), each)
        for number, each in enumerate((*GOOD, ODD))
    ]


def _azure() -> tuple[Callable[[], dict[str, Any]], dict[str, str]]:
    """Files below a prefix of the container: what lies there, and the options for it."""
    prefix = f"{ULID()}/"
    for each in (*GOOD, ODD):
        clouds.write_blob(prefix, each.key("plain"), each)
    egg = replace(GOOD[2], made=GOOD[2].made._replace(filename="old_app-1.0-py2.7.egg"))
    clouds.write_blob(prefix, "old-app/old_app-1.0-py2.7.egg", egg)
    return lambda: dict(clouds.blobs(prefix)), clouds.azure_options(prefix)


def _config() -> dict[str, str | Sequence[str]]:
    """Users, groups and permissions in the configuration."""
    return {
        "pypi.auth": "config",
        "auth.admins": [UPLOADER],
        **{f"user.{name}": hash for name, hash in USERS.items()},
        "group.devs": [UPLOADER, MATE],
        "package.secret-pkg.group.devs": "rw",
        f"package.secret-pkg.user.{MEMBER}": "r",
        "package.old-leaf.group.everyone": "r",
        "package.odd.user.gone.by": "sideways",
    }
