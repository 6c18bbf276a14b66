"""Settings: read once at the start, from the environment, ``.env`` and a TOML file.

Only main, dependencies and cli know this module; rooms get plain arguments. The order is:
environment, ``.env`` in the working directory, the TOML file that ``PYPICLOUD_CONFIG``
names, defaults. ``docs/configuration.md`` and ``.env.example`` list them all.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app import errors, values
from app.access.oidc import options as oidc
from app.access.options import (
    AuditOptions,
    AwsSecretsOptions,
    LdapOptions,
    LimitOptions,
    RemoteOptions,
    TokenOptions,
)
from app.cache.options import RedisOptions, SqlOptions
from app.dynamodb.options import DynamoDBOptions
from app.notices.options import NotificationOptions
from app.operation import OperationSettings
from app.quantities import Duration, Interval, Size
from app.storage.options.azure import AzureOptions
from app.storage.options.cloudfront import CloudFrontOptions
from app.storage.options.gcs import GCSOptions
from app.storage.options.s3 import S3Options
from app.upstream.settings import UpstreamSettings

logger = logging.getLogger(__name__)

PREFIX = "PYPICLOUD_"
CONFIG = f"{PREFIX}CONFIG"
_NESTED = "__"

_SERVICE_LINK = re.compile(rf"{PREFIX}(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT_\d+_[A-Z_]+)\Z")


class Settings(UpstreamSettings, OperationSettings):
    """Every setting there is; frozen. The names are those of the variables, without prefix."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    # URLs may carry passwords: they are not shown by repr.
    storage: str = Field(default="file:data/packages", repr=False)
    cache: str = Field(default="sqlite+aiosqlite:///data/cache.db", repr=False)
    access: Annotated[str, BeforeValidator(values.listed), AfterValidator(values.has_members)] = (
        Field(default="sqlite+aiosqlite:///data/access.db", repr=False)
    )
    ledger: str = Field(default="", repr=False)
    spool: Path = Path("data/spool")

    sql: SqlOptions = SqlOptions()
    redis: RedisOptions = Field(default=RedisOptions(), repr=False)
    dynamodb: DynamoDBOptions = Field(default=DynamoDBOptions(), repr=False)
    ldap: LdapOptions = Field(default=LdapOptions(), repr=False)
    remote: RemoteOptions = Field(default=RemoteOptions(), repr=False)
    aws_secrets: AwsSecretsOptions = Field(default=AwsSecretsOptions(), repr=False)

    s3: S3Options = Field(default=S3Options(), repr=False)
    gcs: GCSOptions = Field(default=GCSOptions(), repr=False)
    azure: AzureOptions = Field(default=AzureOptions(), repr=False)
    cloudfront: CloudFrontOptions = Field(default=CloudFrontOptions(), repr=False)
    delivery: Literal["redirect", "stream", "x-accel-redirect", "x-sendfile"] = "redirect"

    default_read: values.Principals = frozenset({"authenticated"})
    default_write: values.Principals = frozenset()
    default_fetch: values.Principals = frozenset({"authenticated"})
    grants: Literal["replace", "add"] = "replace"
    signup_key: Annotated[SecretStr, Field(min_length=32)] | None = None
    signup_expires: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=90))] = (
        timedelta(days=7)
    )
    admin_password: SecretStr | None = None
    password_min_length: int = Field(default=12, ge=8, le=128)

    tokens: TokenOptions = TokenOptions()
    limits: LimitOptions = LimitOptions()
    audit: AuditOptions = AuditOptions()

    oidc_issuers: Annotated[oidc.Issuers, NoDecode] = oidc.DEFAULT
    oidc_audience: str = Field(default="", max_length=200, pattern=r"^[!-~]*$")
    oidc_discovery: bool = False
    sso: oidc.SsoOptions = Field(default=oidc.SsoOptions(), repr=False)
    attestation_root: Path | None = None
    outbound_networks: values.Networks = ()

    upload_profile: Literal["strict", "import"] = "strict"
    max_file_size: Size = 5 * 2**30
    inspectors: int = Field(default=2, ge=1, le=64)
    legacy_metadata: bool = False

    url_expires: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(days=7))] = (
        timedelta(minutes=5)
    )
    page_memory: Size = 256 * 2**20
    page_refresh: Duration = timedelta(seconds=0.5)
    stale_limit: Duration = timedelta(minutes=10)
    reconcile_interval: Duration = timedelta(seconds=30)
    reindex_interval: Interval = timedelta(hours=24)
    delete_grace: Duration = timedelta(hours=24)
    changes_kept: int = Field(default=100_000, ge=1000)
    notifications: NotificationOptions = Field(default=NotificationOptions(), repr=False)
    host: str = "127.0.0.1"
    port: Annotated[int, BeforeValidator(values.port), Field(ge=0, le=65535)] = 8000
    workers: int = Field(default=1, ge=1, le=256)
    root_path: Annotated[str, AfterValidator(values.root_path)] = ""
    public_url: Annotated[str, AfterValidator(values.public_url)] | None = None
    allowed_hosts: Annotated[
        frozenset[str], NoDecode, BeforeValidator(values.words), AfterValidator(values.hosts)
    ] = frozenset()
    trusted_proxies: values.Networks = ()
    trusted_proxy_hops: int = Field(default=1, ge=1, le=10)
    docs: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.delivery.startswith("x-") and not self.storage.startswith("file:"):
            raise ValueError(f"DELIVERY={self.delivery} needs files on a disk: STORAGE=file:…")
        alone = [k for k in ("storage", "cache", "access") if getattr(self, k)[:7] == "memory:"]
        if self.workers > 1 and alone:
            raise ValueError(f"WORKERS above 1 needs a {alone[0]} that workers share")
        in_s3 = self.storage.startswith(("s3:", "cloudfront:"))
        if in_s3 and not self.s3.create_only:
            counts = {"WORKERS": self.workers, "LIMITS__REPLICAS": self.limits.replicas}
            for many in (name for name, count in counts.items() if count > 1):
                raise ValueError(f"{many} above 1 needs a store with create-only writes")
        return self

    @property
    def local_url(self) -> str | None:
        """Where a service on loopback is reached; None where others reach it too."""
        url = f"http://{self.host}:{self.port}{self.root_path}"
        return url if values.is_loopback(self.host) else None

    @property
    def audience(self) -> str | None:
        """Whom identity tokens must be made for: one name that is this index's alone, or None."""
        url = self.public_url or self.local_url
        return self.oidc_audience or (url.partition("://")[2].partition("/")[0] if url else None)

    @property
    def storage_options(self) -> Mapping[str, Any]:
        """The options of the storage that is chosen."""
        s3 = self.s3.model_dump()
        groups = {
            "s3": s3,
            "gs": self.gcs.model_dump(),
            "azure": self.azure.model_dump(),
            "cloudfront": {**self.cloudfront.model_dump(), "s3": s3},
        }
        return groups.get(self.storage.partition(":")[0], {})

    @property
    def access_urls(self) -> tuple[str, ...]:
        """The backends of access, in the order in which they are asked."""
        return values.members(self.access)

    def access_options(self, url: str) -> Mapping[str, Any]:
        """The options of the access backend at a URL."""
        passwords = {"password_min_length": self.password_min_length}
        groups: Mapping[str, Mapping[str, Any]] = {
            "ldap": self.ldap.model_dump(),
            "ldaps": self.ldap.model_dump(),
            "remote": self.remote.model_dump(),
            "aws-secrets": {**passwords, "aws_secrets": self.aws_secrets.model_dump()},
            "dynamodb": {**passwords, "dynamodb": self.dynamodb.model_dump()},
        }
        sql = {**passwords, "timeout": self.sql.timeout}
        return groups.get(url.partition(":")[0], sql)

    @property
    def cache_options(self) -> Mapping[str, Any]:
        """The options of the cache that is chosen."""
        sql = self.sql.model_dump()
        groups = dict.fromkeys(("sqlite", "postgresql", "mysql", "mariadb"), sql)
        groups |= dict.fromkeys(("redis", "rediss", "valkey", "valkeys"), self.redis.model_dump())
        groups["dynamodb"] = self.dynamodb.model_dump()
        return groups.get(re.split("[:+]", self.cache, maxsplit=1)[0], {})


class _Sources(Settings, BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_NESTED,
        env_file=".env",
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        extra="forbid",
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return env_settings, dotenv_settings, toml


def load() -> Settings:
    """The settings of this process.

    Raises errors.Misconfigured, one line that names the setting, for a value that cannot be,
    for a variable whose name is nearly that of a setting, and for a TOML file that cannot be
    read or has other keys. Any other ``PYPICLOUD_…`` variable is named in a warning.
    """
    try:
        _refuse_slips({*os.environ, *dotenv_values(".env")})
        return Settings.model_construct(**dict(_Sources()))
    except ValidationError as invalid:
        raise errors.Misconfigured(_line(invalid)) from None
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as unreadable:
        raise errors.Misconfigured(f"{CONFIG} or .env: {unreadable}") from None


def variable(*field: str) -> str:
    """The environment variable of a setting, or of one in a group: ``("s3", "region")``."""
    return PREFIX + _NESTED.join(field).upper()


def fields() -> Iterator[tuple[str, ...]]:
    """Every setting by its path: ``("storage",)``, ``("s3", "region")``."""
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from ((name, inner) for inner in group.model_fields)
        else:
            yield (name,)


def _config_file() -> Path | None:
    named = os.environ.get(CONFIG) or dotenv_values(".env").get(CONFIG)
    if named and not Path(named).is_file():
        raise errors.Misconfigured(f"{CONFIG} names {named!r}, which is no file")
    return Path(named) if named else None


def _refuse_slips(names: Iterable[str]) -> None:
    """Stop at what was meant to be a setting; warn of what may be one of another version."""
    known = [name.removeprefix(PREFIX) for name in (CONFIG, *(variable(*f) for f in fields()))]
    for name in sorted(names):
        short = name.removeprefix(PREFIX)
        if not name.startswith(PREFIX) or short in known or _SERVICE_LINK.match(name):
            continue
        if near := difflib.get_close_matches(short, known, n=1, cutoff=0.75):
            raise errors.Misconfigured(f"{name} is no setting; did you mean {PREFIX}{near[0]}?")
        logger.warning("%s is no setting of this version and is ignored", name)


def _line(invalid: ValidationError) -> str:
    first = invalid.errors(include_url=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return PREFIX + message
    path = [part for part in first["loc"] if isinstance(part, str)]
    if first["type"] == "extra_forbidden":
        if variable(*path) in {name.upper() for name in (*os.environ, *dotenv_values(".env"))}:
            return f"{variable(*path)} is no setting"
        return f"{'.'.join(path)!r} in the file that {CONFIG} names is no setting"
    known = (field for field in fields() if tuple(path[: len(field)]) == field)
    return f"{variable(*next(known, path[:1]))}: {message}"
