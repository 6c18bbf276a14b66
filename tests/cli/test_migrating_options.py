"""Every option of PyPICloud 1.3 is accounted for, and becomes the setting that it should."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app import errors
from app.access import chain
from app.cli.migrating import catalogue, knowing, serving, storing, toml
from app.cli.migrating.account import Account
from app.cli.migrating.site import Site, read
from app.config import Settings
from tests.former import ini
from tests.servers import ldap

_TEXT = """
pypi.fallback pypi.always_show_upstream pypi.fallback_base_url pypi.fallback_url
pypi.use_json_scraper pypi.disallow_fallback pypi.default_read pypi.default_write
pypi.cache_update pypi.allow_overwrite_groups pypi.allow_overwrite pypi.allow_delete_groups
pypi.allow_delete pypi.realm pypi.download_url pypi.stream_files pypi.package_max_age
pypi.calculate_package_hashes pypi.storage pypi.db pypi.auth pyramid.debug
pyramid.reload_templates pyramid.cache_max_age pyramid.includes storage.dir storage.bucket
storage.prefix storage.prepend_hash storage.expire_after storage.redirect_urls
storage.object_acl storage.storage_class storage.region_name storage.public_url
storage.server_side_encryption storage.api_version storage.use_ssl storage.verify
storage.endpoint_url storage.aws_access_key_id storage.aws_secret_access_key
storage.aws_session_token storage.signature_version storage.user_agent storage.user_agent_extra
storage.connect_timeout storage.read_timeout storage.parameter_validation
storage.max_pool_connections storage.proxies storage.use_accelerate_endpoint
storage.payload_signing_enabled storage.addressing_style storage.cloud_front_domain
storage.cloud_front_key_id storage.cloud_front_key_file storage.cloud_front_key_string
storage.gcp_service_account_json_filename storage.gcp_project_id storage.gcp_api_endpoint
storage.gcp_use_iam_signer storage.iam_signer_service_account_email storage.storage_account_name
storage.storage_account_key storage.storage_container_name storage.storage_account_url db.url
db.graceful_reload db.poolclass db.clustered db.region_name db.aws_access_key_id
db.aws_secret_access_key db.namespace db.tablenames db.host db.port db.secure auth.scheme
auth.rounds auth.signing_key auth.token_expire auth.admins auth.db.url auth.db.poolclass
auth.backend_server auth.user auth.password auth.uri.verify auth.uri.groups
auth.uri.group_members auth.uri.admin auth.uri.group_permissions auth.uri.user_permissions
auth.uri.user_package_permissions auth.uri.group_package_permissions auth.uri.user_data
auth.ldap.url auth.ldap.service_dn auth.ldap.service_password auth.ldap.service_username
auth.ldap.user_dn_format auth.ldap.base_dn auth.ldap.user_search_filter auth.ldap.admin_field
auth.ldap.admin_value auth.ldap.admin_group_dn auth.ldap.cache_time auth.ldap.ignore_cert
auth.ldap.ignore_referrals auth.ldap.ignore_multiple_results auth.ldap.fallback auth.secret_id
auth.kms_key_id auth.region_name auth.aws_access_key_id auth.aws_secret_access_key
auth.aws_session_token auth.profile_name session.type session.encrypt_key session.validate_key
session.secure session.httponly session.crypto_type session.invalidate_corrupt
"""
OPTIONS = [name for line in _TEXT.splitlines() for name in line.split()]
"""All that it had, user.…, group.… and package.… aside."""


def site(folder: Path, options: Mapping[str, Any], **variables: str) -> Site:
    """A configuration with these options, on a folder where they do not say otherwise."""
    wanted = {"storage.dir": "packages", **options}
    return read(ini(folder / "production.ini", wanted), variables, catalogue.KNOWN)


def accounted(
    folder: Path, options: Mapping[str, Any], *, upstream: str = "", **variables: str
) -> Account:
    """The account of a configuration."""
    account = Account(site(folder, options, **variables))
    for option, why in catalogue.UNNEEDED.items():
        account.unneeded(option, why)
    for option, why in catalogue.DIFFERS.items():
        account.differs(option, why)
    serving.account_for(account, upstream)
    account.set("prefix", storing.account_for(account))
    knowing.account_for_cache(account, folder)
    knowing.account_for_access(account, folder, "")
    account.finish(catalogue.KNOWN)
    return account


def settings(account: Account) -> Settings:
    """The settings as they come out of the file that is written."""
    kept = {name: value for name, value in account.settings.items() if name != "prefix"}
    return Settings.model_validate(tomllib.loads(toml.dump(kept)))


S3 = {"pypi.storage": "s3", "storage.bucket": "b"}
LDAP = {"pypi.auth": "ldap", "auth.ldap.url": "ldaps://directory.example"}
KINDS: Mapping[str, Mapping[str, str]] = {
    "file": {},
    "s3": S3,
    "cloudfront": {**S3, "pypi.storage": "cloudfront"},
    "gcs": {**S3, "pypi.storage": "gcs"},
    "azure": {
        "pypi.storage": "azure-blob",
        "storage.storage_container_name": "c",
        "storage.storage_account_name": "acme",
    },
    "redis": {"pypi.db": "redis", "db.url": "redis://127.0.0.1/0"},
    "dynamo": {"pypi.db": "dynamo", "db.region_name": "eu-west-1"},
    "sql": {"pypi.auth": "sql", "auth.db.url": "sqlite:///users.sqlite"},
    "remote": {"pypi.auth": "remote", "auth.backend_server": "https://acl.example"},
    "ldap": LDAP,
    "secret": {"pypi.auth": "aws_secrets_manager", "auth.secret_id": "pypi/access"},
}


def test_the_catalogue_is_all_of_them() -> None:
    """Every option of PyPICloud is known, once, and nothing else is."""
    assert set(OPTIONS) == catalogue.KNOWN
    assert not catalogue.TAKEN & (catalogue.UNNEEDED.keys() | catalogue.DIFFERS.keys())
    assert not catalogue.UNNEEDED.keys() & catalogue.DIFFERS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_a_line(tmp_path: Path, kind: str) -> None:
    """Whatever backends are chosen, each option has its line, and the settings are sound."""
    account = accounted(tmp_path, {**KINDS[kind], "user.ada": "$6$x", "pypi.color": "blue"})
    assert set(OPTIONS) <= account.lines.keys()
    assert account.lines["pypi.color"].verdict == "unknown"
    assert all(line.text for line in account.lines.values())
    assert settings(account)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (S3, {"storage": "s3://b"}),
        ({**S3, "storage.prefix": "a/b/"}, {"storage": "s3://b/a/b", "prefix": ""}),
        ({**S3, "storage.prefix": "a/b-"}, {"storage": "s3://b/a", "prefix": "b-"}),
        ({**S3, "storage.prefix": "b-"}, {"storage": "s3://b", "prefix": "b-"}),
        (KINDS["azure"], {"storage": "azure://c", "azure": {"account": "acme"}}),
        (KINDS["gcs"], {"storage": "gs://b"}),
        ({"pypi.stream_files": "true"}, {"delivery": "stream"}),
        ({"pypi.stream_files": "false"}, {"delivery": "redirect"}),
        ({"storage.expire_after": "1"}, {"url_expires": 10}),
        ({"storage.expire_after": "9999999"}, {"url_expires": 604800}),
        ({"pypi.default_read": ["everyone"]}, {"default_read": ["everyone"]}),
        ({"pypi.default_write": "admin Devs"}, {"default_write": ["group:devs"]}),
        ({"pypi.cache_update": "everyone"}, {"default_fetch": ["everyone"]}),
        ({"pypi.disallow_fallback": "Acme_Core x"}, {"rules": {"reserved": ["acme-core", "x"]}}),
        (KINDS["redis"], {"cache": "redis://127.0.0.1/0"}),
        (
            {**KINDS["redis"], "db.clustered": "true"},
            {"cache": "redis+cluster://127.0.0.1/0"},
        ),
        (
            {"pypi.db": "redis", "db.url": "redis://h:7000?db=2&username=a&password=b%2Fc"},
            {"cache": "redis://a:b%2Fc@h:7000/2"},
        ),
        (
            {"pypi.db": "redis", "db.url": "unix://:b@/run/redis.sock?db=2"},
            {"cache": "redis+unix://:b@/run/redis.sock?database=2"},
        ),
        (KINDS["dynamo"], {"cache": "dynamodb://eu-west-1/pypicloud-cache"}),
        (
            {"db.url": "mysql+mysqldb://u:p@h/d?charset=utf8mb4"},
            {"cache": "mysql://u:p@h/d"},
        ),
        (
            {"db.url": "postgresql+psycopg2://u:p@h/d?sslmode=require"},
            {"cache": "postgresql://u:p@h/d?sslmode=require"},
        ),
        (
            {"pypi.auth": "sql", "auth.db.url": "postgresql://u:p@h/d"},
            {"access": "postgresql://u:p@h/d"},
        ),
        (KINDS["secret"], {"access": "aws-secrets:pypi/access"}),
        (KINDS["remote"], {"access": "remote:https://acl.example", "remote": {"method": "get"}}),
        ({"auth.signing_key": "k" * 40}, {"signup_key": "k" * 40}),
        ({"auth.token_expire": "3600"}, {"signup_expires": 3600}),
        (
            {**LDAP, "auth.ldap.admin_value": ["a b", "c"], "auth.ldap.admin_field": "f"},
            {"ldap": {"admin_values": ("a b", "c"), "admin_attribute": "f"}},
        ),
        (
            {
                **S3,
                "storage.endpoint_url": "127.0.0.1:9000",
                "storage.use_ssl": "false",
                "storage.verify": "false",
                "storage.server_side_encryption": "AES256",
                "storage.max_pool_connections": "5",
            },
            {
                "s3": {
                    "endpoint_url": "http://127.0.0.1:9000",
                    "verify_tls": False,
                    "encryption": "AES256",
                    "connections": 5,
                }
            },
        ),
        ({**S3, "storage.verify": "/etc/ca.pem"}, {"s3": {"ca_file": "/etc/ca.pem"}}),
        (
            {**KINDS["secret"], "auth.profile_name": "ops"},
            {"aws_secrets": {"profile": "ops"}},
        ),
    ],
)
def test_what_an_option_becomes(
    tmp_path: Path, options: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Each becomes its setting, within the bounds that settings have."""
    account = accounted(tmp_path, options)
    assert {name: account.settings.get(name) for name in expected} == dict(expected)
    assert settings(account)


@pytest.mark.parametrize(
    ("options", "named", "expected"),
    [
        ({}, "", (None, None)),
        ({}, "https://upstream.example/simple", ("redirect", "https://upstream.example/simple/")),
        ({"pypi.fallback": "none"}, "https://upstream.example/simple/", (None, None)),
        (
            {"pypi.fallback": "cache", "pypi.fallback_base_url": "https://upstream.example/"},
            "",
            ("cache", "https://upstream.example/simple/"),
        ),
        (
            {"pypi.fallback": "mirror", "pypi.fallback_url": "https://upstream.example/simple"},
            "",
            ("mirror", "https://upstream.example/simple/"),
        ),
    ],
)
def test_fallbacks(
    tmp_path: Path, options: Mapping[str, str], named: str, expected: tuple[str | None, str | None]
) -> None:
    """An upstream is asked only where one was named; that another was meant is told, unasked."""
    account = accounted(tmp_path, options, upstream=named)
    assert (account.settings.get("fallback"), account.settings.get("upstream")) == expected
    silent = not options and not named
    assert account.lines["pypi.fallback"].matters is silent
    assert settings(account)


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    """``PPC_…`` overrides its option, of known names and of families; people stay the file's."""
    found = site(
        tmp_path,
        {"pypi.default_read": "everyone", "user.ada": "x"},
        PPC_PYPI_DEFAULT_READ="authenticated",
        PPC_DB_POOL_SIZE="3",
        PPC_AUTH_DB_URL="sqlite:///x",
        PPC_USER_ADA="y",
        OTHER="1",
    )
    assert found.text("pypi.default_read") == "authenticated"
    assert found.sources["pypi.default_read"] == "PPC_PYPI_DEFAULT_READ"
    assert (found.text("db.pool_size"), found.text("auth.db.url")) == ("3", "sqlite:///x")
    assert (found.text("user.ada"), found.sources["user.ada"]) == ("x", "file")


def test_variables_stand_in_for_options_of_azure(tmp_path: Path) -> None:
    """Account, key and endpoint come out of Azure's own variables where nothing else has them."""
    bare = {name: value for name, value in KINDS["azure"].items() if "account" not in name}
    variables = {"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": "c2VjcmV0"}
    account = accounted(tmp_path, bare, **variables)
    assert account.settings["azure"] == {"account": "acme", "account_key": "c2VjcmV0"}
    assert account.lines["storage.storage_account_key"].source == "AZURE_STORAGE_KEY"
    assert account.lines["storage.storage_account_key"].text == "as azure.account_key"
    account = accounted(tmp_path, KINDS["azure"], AZURE_STORAGE_ACCOUNT="another")
    assert account.settings["azure"] == {"account": "acme"}
    assert not site(tmp_path, {}, **variables).text("storage.storage_account_name")


@pytest.mark.parametrize(
    ("kind", "option", "group", "setting"),
    [
        ("gcs", "storage.gcp_service_account_json_filename", "gcs", "service_account_file"),
        ("cloudfront", "storage.cloud_front_key_file", "cloudfront", "private_key_file"),
        ("s3", "storage.verify", "s3", "ca_file"),
    ],
)
def test_files_are_where_the_configuration_lies(
    tmp_path: Path, kind: str, option: str, group: str, setting: str
) -> None:
    """A relative path goes on to name the same file, wherever the service runs."""
    account = accounted(tmp_path, {**KINDS[kind], option: "keys/a.pem"})
    assert account.settings[group][setting] == f"{tmp_path}/keys/a.pem"


def test_people_of_no_effect(tmp_path: Path) -> None:
    """Users, groups and permissions that the old site passed over are told as that, and why."""
    people = {"user.ada": "$6$x", "group.devs": "ada", "package.demo.user.ada": "r"}
    for kind in ("remote", "secret", "ldap"):
        account = accounted(tmp_path, {**KINDS[kind], **people})
        assert {account.lines[name].verdict for name in people} == {"not needed"}
        assert all("it had no effect" in account.lines[name].text for name in people)
        ledger = account.settings.get("ledger")
        assert ledger == (None if kind == "ldap" else f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
    account = accounted(tmp_path, {**LDAP, **people, "auth.ldap.fallback": "config"})
    assert account.lines["user.ada"].verdict == "not needed"
    assert {account.lines[name].verdict for name in list(people)[1:]} == {"imported"}


@pytest.mark.parametrize("group", ["admins", "no-such"])
def test_the_admins_of_a_directory(tmp_path: Path, group: str) -> None:
    """Members of ``auth.ldap.admin_group_dn`` are admins; nobody else is."""
    options = {
        "pypi.auth": "ldap",
        "auth.ldap.url": ldap.server().url,
        "auth.ldap.service_dn": ldap.SERVICE[0],
        "auth.ldap.service_password": ldap.SERVICE[1],
        "auth.ldap.user_dn_format": f"uid={{username}},{ldap.PEOPLE}",
        "auth.ldap.admin_group_dn": f"cn={group},{ldap.GROUPS}",
    }
    chosen = settings(accounted(tmp_path, options))

    async def admins() -> list[str]:
        async with chain.connect(chosen.access_urls[:1], chosen.access_options) as access:
            found = [await access.known(name) for name in ("alice", "bob", "carol")]
        return [one.actor.id for one in found if one is not None and one.admin]

    assert asyncio.run(admins()) == (["bob"] if group == "admins" else [])


def test_where_the_file_lies(tmp_path: Path) -> None:
    """``%(here)s`` is the folder of the file; a percent sign in a password stays."""
    found = site(tmp_path, {"storage.dir": "%(here)s/p", "auth.ldap.service_password": "a%b%%c"})
    assert found.text("storage.dir") == f"{tmp_path}/p"
    assert found.text("auth.ldap.service_password") == "a%b%c"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"pypi.storage": "my.Storage"}, "pypi.storage = my.Storage is no storage"),
        ({"pypi.auth": "my.Access"}, "pypi.auth = my.Access is no access"),
        ({"pypi.storage": "s3"}, "storage.bucket is not set"),
        ({"pypi.db": "redis", "db.url": "redis:///0"}, "db.url is no URL of a Redis"),
        ({"pypi.fallback": "perhaps"}, "pypi.fallback is one of"),
        ({"pypi.stream_files": "perhaps"}, "pypi.stream_files is neither true nor false"),
        ({"storage.expire_after": "soon"}, "storage.expire_after is no whole number"),
        ({"db.url": "nothing"}, "db.url is no URL"),
        ({"pypi.default_read": "a,b"}, "pypi.default_read names 'a,b'"),
    ],
)
def test_what_cannot_be(tmp_path: Path, options: Mapping[str, str], line: str) -> None:
    """A value that makes no sense is named with its option."""
    with pytest.raises(errors.Misconfigured, match="production.ini: " + line):
        accounted(tmp_path, options)


def test_settings_come_back_as_they_were() -> None:
    """Texts of any kind, numbers, truths and lists survive the file."""
    written = {
        "text": 'a "b" \\ \n\t\x7f ü 🐍',
        "number": 5,
        "yes": True,
        "list": ["a", "b"],
        "group": {"x": "y", "none": []},
    }
    assert tomllib.loads(toml.dump(written, ["of", "old"])) == written
