"""The options ``db.…`` and ``auth.…``: the cache, and who is who."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from app import errors
from app.cli.migrating.account import Account
from app.cli.migrating.site import Site

MINUTE, DAY = 60, 86_400
KEY_LENGTH = 32
"""Characters that the key of sign-up tokens has at least."""
_LONGEST_INVITATION = 90 * DAY
_LONGEST_MEMORY = MINUTE
_PATHS = (
    "verify", "groups", "group_members", "admin", "group_permissions", "user_permissions",
    "user_package_permissions", "group_package_permissions", "user_data",
)  # fmt: skip
_LDAP: Mapping[str, str] = {
    "auth.ldap.service_dn": "ldap.bind_dn",
    "auth.ldap.service_password": "ldap.bind_password",
    "auth.ldap.service_username": "ldap.service_username",
    "auth.ldap.user_dn_format": "ldap.user_dn",
    "auth.ldap.base_dn": "ldap.base_dn",
    "auth.ldap.user_search_filter": "ldap.user_filter",
    "auth.ldap.admin_field": "ldap.admin_attribute",
}
_SECRET: Mapping[str, str] = {
    "auth.kms_key_id": "aws_secrets.kms_key_id",
    "auth.region_name": "aws_secrets.region",
    "auth.aws_access_key_id": "aws_secrets.access_key_id",
    "auth.aws_secret_access_key": "aws_secrets.secret_access_key",
    "auth.aws_session_token": "aws_secrets.session_token",
    "auth.profile_name": "aws_secrets.profile",
}


@dataclass(frozen=True, slots=True)
class People:
    """Where users, groups and permissions are read from, if they are to be imported."""

    kind: Literal["none", "config", "groups", "sql"]
    """``groups``: out of the file, but no users."""
    url: str = ""
    elsewhere: str = ""
    """Where users stay."""


def account_for_cache(account: Account, folder: Path) -> None:
    """Take over where the cache is; one in SQLite begins anew in ``folder``."""
    site = account.site
    kind = site.text("pypi.db", "sql")
    own = f"sqlite+aiosqlite:///{folder}/cache.db"
    account.say("pypi.db", "taken over", "as cache; it is built from the storage")
    if kind == "sql":
        server = _server(site, "db.url")
        account.set("cache", server or own)
        told = (
            "as cache: tables of our own beside the old"
            if server
            else ("as cache, a file of our own; the old one is of no more use")
        )
        account.say("db.url", "taken over", told)
    elif kind == "redis":
        account.set("cache", _redis(site))
        account.say("db.url", "taken over", "as cache: keys of our own beside the old")
        account.say("db.clustered", "taken over", "as cache")
    elif kind == "dynamo":
        _dynamodb(account)
    else:
        account.set("cache", own)
        account.differs("pypi.db", f"{kind} is no cache of PyPICloud's own; SQLite takes its place")


def account_for_access(account: Account, folder: Path, wanted: str) -> People:
    """Take over who is who; ``wanted`` is the operator's own URL for users that are imported."""
    site = account.site
    kind = site.text("pypi.auth", "config")
    account.say("pypi.auth", "taken over", "as access")
    _invitations(account)
    own = wanted or f"sqlite+aiosqlite:///{folder}/access.db"
    if kind == "config":
        account.set("access", own)
        for name in (*site.people(), "auth.admins"):
            account.say(name, "imported", "into access")
        return People("config")
    if kind == "sql":
        account.set("access", wanted or _server(site, "auth.db.url") or own)
        account.say("auth.db.url", "imported", "into access: its tables are of our own")
        return People("sql", site.text("auth.db.url"))
    if kind == "ldap":
        return _ldap(account, own)
    for name in (*site.people(), "auth.admins"):
        account.unneeded(name, f"it had no effect: pypi.auth is {kind}")
    # Neither keeps tokens and the trail.
    account.set("ledger", f"sqlite+aiosqlite:///{folder}/ledger.db")
    if kind == "remote":
        _remote(account)
        return People("none", elsewhere="on the server that is asked")
    if kind != "aws_secrets_manager":
        raise errors.Misconfigured(
            f"{site.file}: pypi.auth = {kind} is no access of PyPICloud's own; "
            "export its users by ppc-export, and bring them in by 'pypicloud access import'"
        )
    account.set("access", f"aws-secrets:{site.needed('auth.secret_id')}")
    account.say("auth.secret_id", "taken over", "as access: the document is read as it is")
    for option, setting in _SECRET.items():
        account.text(option, setting)
    return People("none", elsewhere="in AWS Secrets Manager")


def _invitations(account: Account) -> None:
    site = account.site
    key = site.text("auth.signing_key")
    if key and len(key) < KEY_LENGTH:
        account.differs("auth.signing_key", f"shorter than {KEY_LENGTH} characters: make a new one")
    account.take("auth.signing_key", "signup_key", key, "as signup_key; tokens that are out end")
    seconds = site.number("auth.token_expire") or 7 * DAY
    bounded = min(max(seconds, MINUTE), _LONGEST_INVITATION)
    account.take("auth.token_expire", "signup_expires", bounded)
    if 0 < len(key) < KEY_LENGTH:
        del account.settings["signup_key"]


def _dynamodb(account: Account) -> None:
    site = account.site
    host, port = site.text("db.host"), site.number("db.port") or 8000
    region = site.text("db.region_name", "us-east-1") if host else site.needed("db.region_name")
    prefix = (site.text("db.namespace").strip("-_.") or "pypicloud").lower()
    account.set("cache", f"dynamodb://{region}/{prefix}-cache")
    for option in ("db.region_name", "db.namespace"):
        account.say(option, "taken over", "as cache: a table of our own beside the old")
    for name in ("access_key_id", "secret_access_key"):
        account.text(f"db.aws_{name}", f"dynamodb.{name}")
    scheme = "https" if site.truth("db.secure") else "http"
    account.take("db.host", "dynamodb.endpoint_url", f"{scheme}://{host}:{port}")
    account.say("db.port", "taken over", "as dynamodb.endpoint_url")


def _redis(site: Site) -> str:
    """Our URL of the same Redis: what redis-py takes behind the '?' stands before it here."""
    try:
        parts = urlsplit(site.needed("db.url"))
    except ValueError:
        parts = urlsplit("")
    query = dict(parse_qsl(parts.query))
    database = query.pop("db", "")
    who = [quote(query.pop(name, ""), safe="") for name in ("username", "password")]
    given, at, host = parts.netloc.rpartition("@")
    credentials = given + at or (f"{':'.join(who)}@" if any(who) else "")
    cluster = "+cluster" if site.truth("db.clustered") else ""
    if parts.scheme == "unix" and not host:
        url = f"redis+unix://{credentials}{parts.path}"
        query |= {"database": database} if database else {}
    elif parts.scheme in ("redis", "rediss") and host:
        url = f"{parts.scheme}{cluster}://{credentials}{host}" + (
            f"/{database}" if database else parts.path
        )
    else:
        raise errors.Misconfigured(f"{site.file}: db.url is no URL of a Redis")
    return f"{url}?{urlencode(query)}" if query else url


def _remote(account: Account) -> None:
    site = account.site
    account.set("access", f"remote:{site.needed('auth.backend_server')}")
    account.say("auth.backend_server", "taken over", "as access")
    account.text("auth.user", "remote.username")
    account.text("auth.password", "remote.password")
    # It knows GET alone: that passwords stand in URLs is for its operator to end.
    account.set("remote.method", "get")
    for name in _PATHS:
        account.text(f"auth.uri.{name}", f"remote.{name}")


def _ldap(account: Account, own: str) -> People:
    site = account.site
    url = site.needed("auth.ldap.url")
    if not url.lower().startswith(("ldap://", "ldaps://")):
        raise errors.Misconfigured(f"{site.file}: auth.ldap.url is like ldaps://HOST")
    account.set("access", f"{url},{own}")
    account.say("auth.ldap.url", "taken over", "as access, with a database beside it for grants")
    for option, setting in _LDAP.items():
        account.text(option, setting)
    account.take("auth.ldap.admin_value", "ldap.admin_values", site.lines("auth.ldap.admin_value"))
    group = site.text("auth.ldap.admin_group_dn")
    account.take(
        "auth.ldap.admin_group_dn",
        "ldap.admin_groups",
        [group],
        "as ldap.admin_groups; where its members are in uniqueMember, set ldap.group_member",
    )
    if group:
        # A group is found by its members, at or below this place.
        account.set("ldap.group_base_dn", group)
    seconds = min(site.number("auth.ldap.cache_time") or 0, _LONGEST_MEMORY)
    account.take("auth.ldap.cache_time", "ldap.cache", seconds, "as ldap.cache, a minute at most")
    fallback = site.text("auth.ldap.fallback")
    if fallback not in ("", "config"):
        raise errors.Misconfigured(f"{site.file}: auth.ldap.fallback is config, or not set")
    account.say("auth.ldap.fallback", "imported", "groups and permissions, into the database")
    for name in (*site.people(), "auth.admins"):
        if name.startswith(("user.", "auth.")):
            account.unneeded(name, "it had no effect: the directory says who may log in")
        elif fallback:
            account.say(name, "imported", "into access")
        else:
            account.unneeded(name, "it had no effect: auth.ldap.fallback is not set")
    return People("groups" if fallback else "none", elsewhere="in the directory")


def _server(site: Site, option: str) -> str:
    """Our URL of the same server; empty for a file, or none at all."""
    from app.cli.migrating import database  # SQLAlchemy, which takes its time

    text = site.text(option)
    return database.server(f"{site.file}: {option}", text) if text else ""
