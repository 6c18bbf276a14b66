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
from collections.abc import Iterable
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

logger = logging.getLogger(__name__)

PREFIX = "PYPICLOUD_"
CONFIG = f"{PREFIX}CONFIG"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIZES = {"": 1, "b": 1, "k": 2**10, "kib": 2**10, "m": 2**20, "mib": 2**20}
_SIZES |= {"g": 2**30, "gib": 2**30, "t": 2**40, "tib": 2**40}
_SIZES |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_DURATIONS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)\Z", re.ASCII)
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\Z")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z|\[[0-9A-Fa-f:.]+\]\Z")
_PUBLIC_URL = re.compile(r"https?://(?P<host>\[[^]]*\]|[^/:]+)(?::\d{1,5})?(?P<path>(?:/.*)?)\Z")
_SERVICE_LINK = re.compile(rf"{PREFIX}(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT_\d+_[A-Z_]+)\Z")


def _quantity(value: object, units: dict[str, Any], example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"write it like {example}")
    match = _QUANTITY.match(str(value).strip())
    if match is None or match[2].lower() not in units:
        raise ValueError(f"write it like {example}")
    return float(match[1]) * float(units[match[2].lower()])


def _size(value: object) -> int:
    return round(_quantity(value, _SIZES, "'500 MiB', '5 GiB' or a number of bytes"))


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return timedelta(seconds=_quantity(value, _DURATIONS, "'30 s', '5 min', '24 h' or seconds"))


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


Size = Annotated[int, BeforeValidator(_size), Field(ge=1)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
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

    default_read: Principals = frozenset({"authenticated"})
    default_write: Principals = frozenset()
    admin_password: SecretStr | None = None
    password_min_length: int = Field(default=12, ge=8, le=128)

    upload_profile: Literal["strict", "import"] = "strict"
    max_file_size: Size = 5 * 2**30
    inspectors: int = Field(default=2, ge=1, le=64)

    url_expires: Duration = timedelta(minutes=5)
    page_memory: Size = 256 * 2**20
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
        return self


class _Sources(Settings, BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
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


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{field.upper()}"


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
    known = [CONFIG.removeprefix(PREFIX), *(field.upper() for field in Settings.model_fields)]
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
    name = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "extra_forbidden":
        return f"{name!r} in the file that {CONFIG} names is no setting"
    return f"{variable(name)}: {message}"
