"""Sites of PyPICloud that cannot be migrated as they are: one line says why, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import clouds
from tests.cli.running import Desk
from tests.former import ini
from tests.pypicloud import wheel, write_file
from tests.servers import dynamodb, ldap, secrets

pytestmark = pytest.mark.timeout(600)  # commands, and machines may be busy

Options = Mapping[str, str | None]
FOLDER = {"pypi.storage": "file", "storage.dir": "packages"}
KEYS = ("aws_access_key_id", "aws_secret_access_key")


def google() -> Options:
    """Files in Google Cloud Storage."""
    return clouds.google_options("x/")


def azure() -> Options:
    """Files in Azure."""
    return clouds.azure_options("x/")


def simple_storage() -> Options:
    """Files in S3."""
    return clouds.s3_options("x/")


def directory() -> Options:
    """Users in a directory."""
    return {
        **FOLDER,
        "pypi.auth": "ldap",
        "auth.ldap.url": ldap.server().url,
        "auth.ldap.service_dn": ldap.SERVICE[0],
        "auth.ldap.service_password": ldap.SERVICE[1],
        "auth.ldap.base_dn": ldap.PEOPLE,
        "auth.ldap.user_search_filter": "(uid={username})",
    }


def secret() -> Options:
    """Users in AWS Secrets Manager, in a secret that is not there."""
    known = {"pypi.auth": "aws_secrets_manager", "auth.secret_id": "no/such"}
    keys = {f"auth.{key}": "test" for key in KEYS}
    return {**FOLDER, **known, "auth.region_name": secrets.REGION, **keys}


def table() -> Options:
    """The cache in DynamoDB."""
    where = {"db.host": "127.0.0.1", "db.port": str(dynamodb.server().port)}
    return {**FOLDER, "pypi.db": "dynamo", **where, **{f"db.{key}": "test" for key in KEYS}}


def redis() -> Options:
    """The cache in Redis."""
    return {**FOLDER, "pypi.db": "redis", "db.url": "redis://127.0.0.1:1/0"}


def remote() -> Options:
    """Users on a server that is asked."""
    return {**FOLDER, "pypi.auth": "remote", "auth.backend_server": None}


@dataclass(frozen=True, slots=True)
class Case:
    """A site with options changed (None: absent), and what the one line begins with, or has.

    ``told`` is whether a dry run tells as well.
    """

    site: Callable[[], Options]
    changed: Options
    line: str
    code: int = 2
    told: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)


KEY_FILE = "storage.gcp_service_account_json_filename"
NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "GCE_METADATA_HOST": "127.0.0.1:1"}
CASES = [
    Case(google, {KEY_FILE: "none.json"}, "The credentials file "),
    Case(google, {KEY_FILE: "production.ini"}, "is no credentials file of Google Cloud"),
    Case(google, {KEY_FILE: None}, f"name a file by {KEY_FILE} or ", variables=NOBODY),
    Case(google, {"storage.bucket": "nobody"}, "There is no bucket 'nobody'"),
    Case(google, {"storage.bucket": None}, "production.ini: storage.bucket is not set"),
    Case(
        azure,
        {"storage.storage_account_name": None},
        "production.ini: storage.storage_account_name is not set",
    ),
    Case(azure, {"storage.storage_account_key": "c2VjcmV0"}, "does not believe who we are"),
    Case(
        azure,
        {"storage.storage_account_key": "no Base64"},
        "What production.ini says cannot be: storage.storage_account_key: an account key is",
    ),
    Case(azure, {"storage.storage_container_name": "nothing"}, "There is no container 'nothing'"),
    Case(
        azure,
        {"storage.storage_account_url": "http://127.0.0.1:1/devstoreaccount1"},
        "Azure Blob Storage cannot be reached",
        code=1,
    ),
    Case(
        simple_storage,
        {"storage.aws_secret_access_key": None},
        "storage.aws_access_key_id and storage.aws_secret_access_key are set together",
    ),
    Case(simple_storage, {"storage.aws_secret_access_key": "x"}, "credentials are not accepted"),
    Case(directory, {"auth.ldap.url": None}, "production.ini: auth.ldap.url is not set"),
    Case(directory, {"auth.ldap.url": "localhost"}, "auth.ldap.url is like ldaps://HOST"),
    Case(directory, {"auth.ldap.url": "ldap://directory.example"}, "passwords in the clear"),
    Case(directory, {"auth.ldap.url": "ldap://127.0.0.1:1"}, "cannot be reached", code=1),
    Case(
        directory,
        {"auth.ldap.service_password": "no"},
        "The directory refuses auth.ldap.service_dn with this password",
    ),
    Case(
        directory,
        {"auth.ldap.service_password": None},
        "auth.ldap.service_dn and auth.ldap.service_password are set together",
    ),
    Case(
        directory,
        {"auth.ldap.user_search_filter": None},
        "production.ini: set either auth.ldap.user_dn_format, or auth.ldap.base_dn and auth.ldap.",
    ),
    Case(directory, {"auth.ldap.fallback": "sql"}, "auth.ldap.fallback is config, or not set"),
    Case(secret, {"auth.secret_id": None}, "production.ini: auth.secret_id is not set"),
    Case(secret, {}, "There is no secret 'no/such'."),
    Case(secret, {"auth.region_name": None}, "You must specify a region"),
    Case(
        secret,
        {f"auth.{key}": None for key in KEYS},
        "set auth.aws_access_key_id and auth.aws_secret_access_key, or",
        variables=NOBODY,
    ),
    Case(
        secret,
        {"auth.profile_name": "ops"},
        "auth.profile_name and auth.aws_access_key_id are two different credentials",
    ),
    Case(table, {"db.host": None}, "production.ini: db.region_name is not set"),
    Case(
        table,
        {f"db.{key}": None for key in KEYS},
        "No credentials for DynamoDB: set db.aws_access_key_id and db.aws_secret_access_key",
        told=False,  # to open a cache makes one
        variables=NOBODY,
    ),
    Case(redis, {"db.url": None}, "production.ini: db.url is not set"),
    Case(redis, {"db.url": "127.0.0.1"}, "production.ini: db.url is no URL of a Redis"),
    Case(redis, {}, "The cache in Redis on 127.0.0.1:1 does not answer", code=1, told=False),
    Case(remote, {}, "production.ini: auth.backend_server is not set"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.site.__name__}: {case.line:.30}")
def test_what_cannot_be_opened(tmp_path: Path, case: Case) -> None:
    """The line names the option where one is to blame; settings are not left behind.

    So whoever puts it right runs the command again, and nothing wrong was kept.
    """
    write_file(tmp_path / "packages", wheel("demo"))
    options = {**case.site(), **case.changed}
    ini(
        tmp_path / "production.ini",
        {name: value for name, value in options.items() if value is not None},
    )
    at = f"http://127.0.0.1:{secrets.port()}"
    desk = Desk(tmp_path, {"AWS_ENDPOINT_URL_SECRETS_MANAGER": at, **case.variables})
    words = ("migrate", "pypicloud", "production.ini")
    said = desk.refused(*words, code=case.code)
    assert said.startswith("Error: ")
    assert case.line in said
    assert not (tmp_path / "pypicloud.toml").exists()
    if case.told:
        assert desk.refused(*words, "--dry-run", code=case.code) == said


def test_put_right_it_goes_on(tmp_path: Path) -> None:
    """After a run that could not open the storage, the next one goes by what the file says then."""
    write_file(tmp_path / "packages", wheel("demo"))
    desk = Desk(tmp_path)
    wrong = {**directory(), "auth.ldap.service_password": "no"}
    for options in (wrong, directory()):
        ini(tmp_path / "production.ini", {name: str(value) for name, value in options.items()})
        ran = desk.run("migrate", "pypicloud", "production.ini")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Users stay in the directory." in ran.stdout
    assert ldap.SERVICE[1] in (tmp_path / "pypicloud.toml").read_text()
    assert ldap.SERVICE[1] not in ran.stdout
    backed = desk.having(PYPICLOUD_CONFIG="pypicloud.toml").json("backup", "all.tar.gz")
    assert (backed["users"], backed["records"] > 0) == (0, True)


def test_unknown_options_are_named(tmp_path: Path) -> None:
    """What PyPICloud knew as little as we do is told, and stops nothing."""
    write_file(tmp_path / "packages", wheel("demo"))
    unknown = {"pypi.colour": "blue", "storage.dri": "x", "auth.ldp.url": "y"}
    ini(tmp_path / "production.ini", {**FOLDER, **unknown})
    told = Desk(tmp_path).json("migrate", "pypicloud", "production.ini")
    lines = {line["option"]: line["verdict"] for line in told["options"]}
    assert {name: lines[name] for name in unknown} == dict.fromkeys(unknown, "unknown")
