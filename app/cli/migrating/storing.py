"""The options ``storage.…``: where the files lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from app import errors
from app.cli.migrating.account import Account
from app.storage import place

SECOND, DAY = 1, 86_400
_LONGEST, _SHORTEST = 7 * DAY, 10 * SECOND
"""Seconds: bounds of the setting url_expires."""
_S3: Mapping[str, str] = {
    "storage.object_acl": "s3.acl",
    "storage.storage_class": "s3.storage_class",
    "storage.region_name": "s3.region",
    "storage.server_side_encryption": "s3.encryption",
    "storage.endpoint_url": "s3.endpoint_url",
    "storage.aws_access_key_id": "s3.access_key_id",
    "storage.aws_secret_access_key": "s3.secret_access_key",
    "storage.aws_session_token": "s3.session_token",
    "storage.addressing_style": "s3.addressing_style",
}
_CLOUDFRONT: Mapping[str, str] = {
    "storage.cloud_front_domain": "cloudfront.url",
    "storage.cloud_front_key_id": "cloudfront.key_id",
    "storage.cloud_front_key_string": "cloudfront.private_key",
}
_GCS: Mapping[str, str] = {
    "storage.gcp_api_endpoint": "gcs.endpoint_url",
    "storage.iam_signer_service_account_email": "gcs.service_account_email",
    "storage.storage_class": "gcs.storage_class",
}
_AZURE: Mapping[str, str] = {
    "storage.storage_account_name": "azure.account",
    "storage.storage_account_key": "azure.account_key",
    "storage.storage_account_url": "azure.account_url",
}
_KINDS = {"s3": "s3", "cloudfront": "cloudfront", "gcs": "gs", "azure-blob": "azure"}


def account_for(account: Account) -> str:
    """Take over where the files lie; what the keys of the old files begin with besides."""
    site = account.site
    kind = site.text("pypi.storage", "file")
    account.say("pypi.storage", "taken over", "as storage")
    expires = site.number("storage.expire_after") or DAY
    account.take("storage.expire_after", "url_expires", min(max(expires, _SHORTEST), _LONGEST))
    if kind == "file":
        return _folder(account)
    if kind not in _KINDS:
        raise errors.Misconfigured(
            f"{site.file}: pypi.storage = {kind} is no storage of PyPICloud's own; "
            "copy its files into one of those, or migrate over HTTP (pypicloud migrate simple)"
        )
    option = "storage.storage_container_name" if kind == "azure-blob" else "storage.bucket"
    bucket = site.needed(option)
    # As it stands, that is with or without a slash at its end.
    whole, rest = _split(site.options.get("storage.prefix", "").strip())
    url = f"{_KINDS[kind]}://{bucket}" + (f"/{quote(whole)}" if whole else "")
    place.parse(url)
    account.set("storage", url)
    account.say(option, "taken over", "as storage")
    account.say("storage.prefix", "taken over", "as storage" if not rest else "the part of storage")
    _options(account, kind)
    return rest


def _folder(account: Account) -> str:
    account.site.needed("storage.dir")
    account.set("storage", f"file:{account.site.path('storage.dir')}")
    account.say("storage.dir", "taken over", "as storage")
    return ""


def _split(prefix: str) -> tuple[str, str]:
    """The folders of a prefix, and what names in the last of them begin with."""
    whole, _, rest = prefix.rpartition("/")
    return whole.strip("/"), rest


def _options(account: Account, kind: str) -> None:
    site = account.site
    if kind == "azure-blob":
        for option, setting in _AZURE.items():
            account.text(option, setting)
        site.needed("storage.storage_account_name")
        return
    if kind == "gcs":
        for option, setting in _GCS.items():
            account.text(option, setting)
        account.path("storage.gcp_service_account_json_filename", "gcs.service_account_file")
        acl = re.sub(r"[-_](\w)", lambda match: match[1].upper(), site.text("storage.object_acl"))
        account.take("storage.object_acl", "gcs.predefined_acl", acl)
        account.unneeded("storage.region_name", "buckets are not made here; make it first")
        return
    for option, setting in _S3.items():
        account.text(option, setting)
    _connections(account)
    if kind == "cloudfront":
        for option, setting in _CLOUDFRONT.items():
            account.text(option, setting)
        account.path("storage.cloud_front_key_file", "cloudfront.private_key_file")


def _connections(account: Account) -> None:
    site = account.site
    for option, setting in (
        ("storage.connect_timeout", "s3.connect_timeout"),
        ("storage.read_timeout", "s3.read_timeout"),
        ("storage.max_pool_connections", "s3.connections"),
    ):
        account.take(option, setting, site.number(option))
    accelerate = site.truth("storage.use_accelerate_endpoint")
    account.take("storage.use_accelerate_endpoint", "s3.accelerate", accelerate)
    verify = site.text("storage.verify")
    if verify.lower() in ("false", "no", "off", "0", "f", "n"):
        account.take("storage.verify", "s3.verify_tls", False)
    elif verify.lower() not in ("", "true", "yes", "on", "1", "t", "y"):
        account.path("storage.verify", "s3.ca_file")
    account.say("storage.verify", "taken over", "as s3.verify_tls or s3.ca_file")
    endpoint = account.settings.get("s3", {}).get("endpoint_url", "")
    if endpoint and "://" not in endpoint:
        scheme = "https" if site.truth("storage.use_ssl", True) else "http"
        account.set("s3.endpoint_url", f"{scheme}://{endpoint}")
