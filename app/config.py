"""Settings: read once at the start, from the environment, ``.env`` and a TOML file.

Only main, dependencies and cli know this module; rooms get plain arguments. The order is:
environment, ``.env`` in the working directory, the TOML file that ``PYPICLOUD_CONFIG``
names, defaults. ``docs/configuration.md`` and ``.env.example`` list them all.
"""

from __future__ import annotations

import difflib
import ipaddress
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

from app import errors
from app.access import principals
from app.cache.options import DynamoDBOptions, SqlOptions
from app.quantities import Duration, Size
from app.storage.options.azure import AzureOptions
from app.storage.options.cloudfront import CloudFrontOptions
from app.storage.options.gcs import GCSOptions
from app.storage.options.s3 import S3Options

logger = logging.getLogger(__name__)

PREFIX = "PYPICLOUD_"
CONFIG = f"{PREFIX}CONFIG"
_NESTED = "__"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\Z")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z|\[[0-9A-Fa-f:.]+\]\Z")
_PUBLIC_URL = re.compile(r"https?://(?P<host>\[[^]]*\]|[^/:]+)(?::\d{1,5})?(?P<path>(?:/.*)?)\Z")
_SERVICE_LINK = re.compile(rf"{PREFIX}(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT_\d+_[A-Z_]+)\Z")


def _words(value: object) -> object:
    """Several values in one variable, separated by commas or white space."""
    return re.split(r"[\s,]+", value.strip(" \t,")) if isinstance(value, str) and value else value


def _principals(value: frozenset[str]) -> frozenset[str]:
    try:
        return principals.principals(value - {"", "none"})
    except errors.InvalidName as wrong:
        raise ValueError(str(wrong)) from None


def _hosts(value: frozenset[str]) -> frozenset[str]:
    value = frozenset(host.lower() for host in value if host)
    if not all(_HOST.match(host) for host in value):
        raise ValueError("write host names without scheme and port; '*.example.com' is allowed")
    return value


def _port(value: object) -> object:
    # Kubernetes puts PYPICLOUD_PORT=tcp://… beside every pod of a service named pypicloud.
    return 8000 if isinstance(value, str) and value.startswith("tcp://") else value


def _root_path(value: str) -> str:
    value = value.rstrip("/")
    if not _ROOT_PATH.match(value):
        raise ValueError("write it like '/packages': plain segments, each after a slash")
    return value


def _public_url(value: str) -> str:
    value = value.rstrip("/")
    match = _PUBLIC_URL.match(value)
    if match is None or not _HOST.match(match["host"]) or not _ROOT_PATH.match(match["path"]):
        raise ValueError("write it like 'https://pypi.example.com' or 'https://example.com/pypi'")
    return value


Principals = Annotated[
    frozenset[str], NoDecode, BeforeValidator(_words), AfterValidator(_principals)
]


class Settings(BaseModel):
    """Every setting there is; frozen. The names are those of the variables, without prefix."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    # URLs may carry passwords: they are not shown by repr.
    storage: str = Field(default="file:data/packages", repr=False)
    cache: str = Field(default="sqlite+aiosqlite:///data/cache.db", repr=False)
    access: str = Field(default="sqlite+aiosqlite:///data/access.db", repr=False)
    spool: Path = Path("data/spool")

    sql: SqlOptions = SqlOptions()
    dynamodb: DynamoDBOptions = Field(default=DynamoDBOptions(), repr=False)

    s3: S3Options = Field(default=S3Options(), repr=False)
    gcs: GCSOptions = Field(default=GCSOptions(), repr=False)
    azure: AzureOptions = Field(default=AzureOptions(), repr=False)
    cloudfront: CloudFrontOptions = Field(default=CloudFrontOptions(), repr=False)
    delivery: Literal["redirect", "stream"] = "redirect"

    default_read: Principals = frozenset({"authenticated"})
    default_write: Principals = frozenset()
    admin_password: SecretStr | None = None
    password_min_length: int = Field(default=12, ge=8, le=128)

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
    delete_grace: Duration = timedelta(hours=24)

    host: str = "127.0.0.1"
    port: Annotated[int, BeforeValidator(_port), Field(ge=0, le=65535)] = 8000
    workers: int = Field(default=1, ge=1, le=256)
    root_path: Annotated[str, AfterValidator(_root_path)] = ""
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    allowed_hosts: Annotated[
        frozenset[str], NoDecode, BeforeValidator(_words), AfterValidator(_hosts)
    ] = frozenset()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_words)] = ()
    trusted_proxy_hops: int = Field(default=1, ge=1, le=10)
    docs: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _workers_share(self) -> Self:
        kept = {"storage": self.storage, "cache": self.cache, "access": self.access}
        alone = [name for name, url in kept.items() if url.startswith("memory:")]
        if self.workers > 1 and alone:
            raise ValueError(f"WORKERS above 1 needs a {alone[0]} that workers share")
        in_s3 = self.storage.startswith(("s3:", "cloudfront:"))
        if self.workers > 1 and in_s3 and not self.s3.create_only:
            raise ValueError("WORKERS above 1 needs a store with create-only writes")
        return self

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
    def cache_options(self) -> Mapping[str, Any]:
        """The options of the cache that is chosen."""
        sql = self.sql.model_dump()
        groups = dict.fromkeys(("sqlite", "postgresql", "mysql", "mariadb"), sql)
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
    if not named:
        return None
    path = Path(named)
    if not path.is_file():
        raise errors.Misconfigured(f"{CONFIG} names {named!r}, which is no file")
    return path


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
