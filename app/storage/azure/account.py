"""Which account, where it is, and what proves that we may use it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from app import errors
from app.storage.options.azure import AzureOptions, connection_parts

SUFFIX = "core.windows.net"


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """A storage account at a URL; ``key`` or ``sas`` prove who we are, else Entra ID does."""

    name: str
    url: str
    key: str | None = None
    sas: str | None = None

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.url.startswith("https:")


def account_of(options: AzureOptions) -> Account:
    """The account of the options; errors.Misconfigured where they name none."""
    secret = options.connection_string
    parts = connection_parts(secret.get_secret_value()) if secret else {}
    url = options.account_url or parts.get("BlobEndpoint", "").rstrip("/")
    name = options.account or parts.get("AccountName") or (url and _named_by(url))
    if not name:
        raise errors.Misconfigured(
            "Name the storage account by PYPICLOUD_AZURE__ACCOUNT, or by a connection string"
        )
    if not url:
        scheme = parts.get("DefaultEndpointsProtocol", "https")
        url = f"{scheme}://{name}.blob.{parts.get('EndpointSuffix', SUFFIX)}"
    key = options.account_key.get_secret_value() if options.account_key else parts.get("AccountKey")
    sas = (
        options.sas_token.get_secret_value()
        if options.sas_token
        else parts.get("SharedAccessSignature", "").lstrip("?") or None
    )
    account = Account(name, url, key, None if key else sas)
    if not (key or sas or account.secure):
        raise errors.Misconfigured(
            "Entra ID's tokens go over https:// only; change PYPICLOUD_AZURE__ACCOUNT_URL"
        )
    return account


def _named_by(url: str) -> str | None:
    """The account in ``https://ACCOUNT.blob.…``; other hosts tell nothing."""
    name, blob, _ = (urlsplit(url).hostname or "").partition(".blob.")
    return name if blob else None
