"""Options of ``azure://``."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.options import Options
from app.quantities import Duration

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}\Z")


class AzureOptions(Options):
    """Azure. Without a key, SAS token or connection string, Entra ID says who we are."""

    account: str | None = None
    account_url: str | None = None
    account_key: SecretStr | None = None
    sas_token: SecretStr | None = None
    connection_string: SecretStr | None = None
    public_url: str | None = None
    ca_file: Path | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)
    attempts: int = Field(default=3, ge=1, le=10)
    connections: int = Field(default=64, ge=1, le=1000)

    @field_validator("account")
    @classmethod
    def _account(cls, name: str | None) -> str | None:
        if name is not None and not _ACCOUNT.match(name):
            raise ValueError("the name of a storage account is 3 to 24 small letters and digits")
        return name

    @field_validator("account_url", "public_url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("write it like https://ACCOUNT.blob.core.windows.net")
        if parts.query or parts.fragment:
            raise ValueError("a URL with nothing behind a ? or #; a SAS token has its own setting")
        return url.rstrip("/")

    @field_validator("account_key")
    @classmethod
    def _key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not _is_base64(key.get_secret_value()):
            raise ValueError("an account key is Base64, as the portal shows it")
        return key

    @field_validator("sas_token")
    @classmethod
    def _sas(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None:
            return None
        query = token.get_secret_value().lstrip("?")
        if "sig=" not in query:
            raise ValueError("a SAS token is a query with a sig= in it")
        return SecretStr(query)

    @field_validator("connection_string")
    @classmethod
    def _connection(cls, text: SecretStr | None) -> SecretStr | None:
        if text is None:
            return None
        parts = connection_parts(text.get_secret_value())
        if not parts.keys() & {"AccountKey", "SharedAccessSignature"}:
            raise ValueError(
                "a connection string has AccountKey= or SharedAccessSignature= in it, and ; between"
            )
        if not parts.keys() & {"AccountName", "BlobEndpoint"}:
            raise ValueError("a connection string has AccountName= or BlobEndpoint= in it")
        if "AccountKey" in parts and not _is_base64(parts["AccountKey"]):
            raise ValueError("the AccountKey of the connection string is not Base64")
        return text

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        given = [self.account_key, self.sas_token, self.connection_string]
        if sum(secret is not None for secret in given) > 1:
            raise ValueError("give one of account_key, sas_token and connection_string, not more")
        return self


def connection_parts(text: str) -> dict[str, str]:
    """The parts of a connection string by their names."""
    pairs = (part.partition("=") for part in text.strip().split(";"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
