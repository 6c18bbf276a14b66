"""The options of access backends; importing them imports no vendor's library.

They are the settings groups ``PYPICLOUD_LDAP__…``, ``_REMOTE__…``, ``_AWS_SECRETS__…``,
``_TOKENS__…``, ``_LIMITS__…`` and ``_AUDIT__…`` as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from app.options import EndpointOptions, Options
from app.quantities import Duration, Size

Brief = Annotated[Duration, Field(le=timedelta(seconds=60))]
"""How long an answer may be remembered."""


def _texts(value: object) -> object:
    """A list in JSON; or one text a line, or between semicolons: DNs have commas in them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [text for part in re.split(r"[;\n]", value) if (text := part.strip())]


Texts = Annotated[frozenset[str], NoDecode, BeforeValidator(_texts)]

TOGETHER = frozenset({"strangers", "decoys"})
"""What a chain adds to the options of its members (access.chain)."""

PLACE = "{username}"
"""What stands for the user's name in a filter or a DN."""


class LdapOptions(Options):
    """How users are found in a directory, what makes a group, and what makes an admin.

    ``timeout`` bounds a look-up, and a bind, each from the first byte to the last. ``cache``
    is for how long a user's entry and groups, and a right password, are remembered.
    """

    bind_dn: str = ""
    bind_password: SecretStr | None = None
    service_username: str | None = None
    start_tls: bool = False
    ca_file: Path | None = None
    plain: bool = False

    base_dn: str = ""
    user_filter: str = ""
    user_dn: str = ""
    name_attribute: str = ""

    group_attribute: str = ""
    group_base_dn: str = ""
    group_filter: str = "(objectClass=*)"
    group_member: Literal["member", "uniqueMember", "memberUid"] = "member"
    group_name: str = "cn"
    group_names: Mapping[str, str] = Field(default_factory=dict)
    nested_groups: Literal["no", "walk", "matching-rule"] = "no"

    admin_groups: Texts = frozenset()
    admin_attribute: str = ""
    admin_values: Texts = frozenset()

    timeout: Duration = timedelta(seconds=5)
    cache: Brief = timedelta(seconds=30)
    connections: int = Field(default=16, ge=1, le=256)

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.bind_password is None) != (not self.bind_dn):
            raise ValueError("bind_dn and bind_password are set together or not at all")
        if self.bind_password is not None and not self.bind_password.get_secret_value():
            raise ValueError("bind_password cannot be empty: that would be an anonymous bind")
        if self.service_username is not None and not self.bind_dn:
            raise ValueError("service_username is the name of the user with bind_dn")
        if bool(self.admin_attribute) != bool(self.admin_values):
            raise ValueError("admin_attribute and admin_values are set together or not at all")
        if self.nested_groups == "matching-rule" and not self.group_base_dn:
            raise ValueError("nested_groups 'matching-rule' searches below group_base_dn; set it")
        if self.nested_groups != "no" and self.group_member == "memberUid":
            raise ValueError("groups of memberUid hold no groups; nested_groups must be 'no'")
        return self

    def found_by(self) -> Self:
        """These, where they say how a user is found; ValueError where they do not.

        Not a validator, for the group of settings is there without a directory too.
        """
        if bool(self.user_dn) == bool(self.base_dn and self.user_filter):
            raise ValueError("set either user_dn, or base_dn and user_filter")
        if PLACE not in (self.user_dn or self.user_filter):
            raise ValueError(f"user_dn or user_filter must hold {PLACE} where the name belongs")
        return self


class RemoteOptions(Options):
    """The server that is asked, and who we are to it.

    ``timeout`` bounds a question with its answer, ``cache`` is for how long one is remembered,
    and ``largest`` the size in bytes of an answer. Paths are appended to
    the URL.
    """

    username: str | None = None
    password: SecretStr | None = None
    method: Literal["post", "get"] = "post"
    ca_file: Path | None = None
    plain: bool = False
    timeout: Duration = timedelta(seconds=5)
    cache: Brief = timedelta(seconds=10)
    largest: Size = 4 * 2**20
    connections: int = Field(default=32, ge=1, le=1000)
    verify: str = "/verify"
    groups: str = "/groups"
    group_members: str = "/group_members"
    admin: str = "/admin"
    group_permissions: str = "/group_permissions"
    user_permissions: str = "/user_permissions"
    user_package_permissions: str = "/user_package_permissions"
    group_package_permissions: str = "/group_package_permissions"
    user_data: str = "/user_data"

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are set together or not at all")
        return self


class AwsSecretsOptions(EndpointOptions):
    """``create``: a secret that is not there is made with the first user, by ``kms_key_id``.

    ``timeout`` bounds each question with what is tried again, ``cache`` is for how long the
    secret is remembered.
    """

    region: str | None = None
    create: bool = False
    kms_key_id: str | None = None
    timeout: Duration = timedelta(seconds=10)
    cache: Brief = timedelta(seconds=5)


_Number = Annotated[int, Field(ge=0, le=1_000_000)]


def _webhook(url: str) -> str:
    if not url.startswith(("https://", "http://127.0.0.1:", "http://[::1]:", "http://localhost:")):
        raise ValueError("write an https:// URL; http:// goes to this machine alone")
    return url


def _syslog(address: str) -> str:
    if not address.startswith(("udp://", "tcp://", "unix:/")):
        raise ValueError("write it like udp://HOST:514, tcp://HOST:601 or unix:/dev/log")
    return address


class TokenOptions(Options):
    """How long tokens hold: ``default_lifetime`` unasked, ``max_lifetime`` at most."""

    default_lifetime: Duration = timedelta(days=90)
    max_lifetime: Annotated[Duration, Field(le=timedelta(days=366))] = timedelta(days=366)
    unused_after: Duration = timedelta(days=90)


class LimitOptions(Options):
    """Attempts within a window; 0 switches one off. ``replicas``: that run, where none can ask.

    ``logins`` and ``all_logins`` are failures in five minutes, ``tokens``, ``mints`` and
    ``searches`` are a minute's, ``registrations`` an hour's, of one address; ``uploads`` and
    ``projects`` an hour's, of one user.
    """

    logins: _Number = 10
    all_logins: _Number = 1000
    tokens: _Number = 100
    mints: _Number = 60
    searches: _Number = 60
    registrations: _Number = 20
    uploads: _Number = 0
    projects: _Number = 0
    replicas: int = Field(default=1, ge=1, le=1000)


class AuditOptions(Options):
    """Where entries of the trail go beside the ledger, and how much of an address is kept.

    ``failures``: entries of refusals written one by one in a minute; more are counted.
    """

    stdout: bool = False
    syslog: Annotated[str, AfterValidator(_syslog)] | None = None
    webhook: Annotated[str, AfterValidator(_webhook)] | None = Field(default=None, repr=False)
    webhook_secret: SecretStr | None = None
    addresses: Literal["full", "network", "none"] = "full"
    failures: int = Field(default=60, ge=1, le=10_000)
