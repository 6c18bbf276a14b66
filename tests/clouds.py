"""What PyPICloud 1.3.12 left in buckets, and what its configuration said of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import jwt
from azure.storage.blob import BlobBlock, ContainerClient

from tests.pypicloud import Old
from tests.servers import azurite, gcs, s3
from tests.servers.gcs_identity import SCOPE


def write_google(prefix: str, key: str, old: Old) -> None:
    """Put a file into the bucket of Google Cloud Storage, with metadata of its own."""
    server, boundary = gcs.gcs(), "between-two-parts"
    resource = {
        "name": f"{prefix}{key}",
        "contentType": "application/octet-stream",
        "metadata": old.untouched(),
    }
    parts = [
        b"Content-Type: application/json\r\n\r\n" + json.dumps(resource).encode(),
        b"Content-Type: application/octet-stream\r\n\r\n" + old.made.content,
    ]
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    httpx.post(
        f"{server.endpoint_url}/upload/storage/v1/b/{gcs.BUCKET}/o?uploadType=multipart",
        content=body + b"--%s--\r\n" % boundary.encode(),
        headers={
            "Authorization": f"Bearer {google_token()}",
            "Content-Type": f"multipart/related; boundary={boundary}",
        },
    ).raise_for_status()


def google_objects(prefix: str) -> dict[str, tuple[str, dict[str, str]]]:
    """The generation and the metadata of every object below a prefix of that bucket."""
    answer = httpx.get(
        f"{gcs.gcs().endpoint_url}/storage/v1/b/{gcs.BUCKET}/o",
        params={"prefix": prefix, "maxResults": "1000"},
        headers={"Authorization": f"Bearer {google_token()}"},
    ).raise_for_status()
    found = answer.json().get("items", [])
    return {each["name"]: (each["generation"], each.get("metadata", {})) for each in found}


def google_token() -> str:
    """A token of the owner, got with the key file as RFC 7523 has it."""
    owner = json.loads(Path(gcs.gcs().credentials("owner")).read_text())
    now = int(time.time())
    claims = {"iss": owner["client_email"], "scope": SCOPE, "aud": owner["token_uri"]}
    assertion = jwt.encode(claims | {"iat": now, "exp": now + 600}, owner["private_key"], "RS256")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    granted: str = httpx.post(owner["token_uri"], data=form).json()["access_token"]
    return granted


def write_blob(prefix: str, key: str, old: Old) -> None:
    """Put a file into the container of Azure, in blocks whatever its size."""
    with _container() as container, container.get_blob_client(f"{prefix}{key}") as blob:
        blob.stage_block("00000000", old.made.content)
        blob.commit_block_list([BlobBlock("00000000")], metadata=old.untouched())


def blobs(prefix: str) -> dict[str, tuple[str, dict[str, str]]]:
    """The entity tag and the metadata of every blob below a prefix of that container."""
    with _container() as container:
        found = container.list_blobs(name_starts_with=prefix, include=["metadata"])
        return {each.name: (each.etag, each.metadata or {}) for each in found}


def google_options(prefix: str) -> dict[str, str]:
    """What a site says of that bucket."""
    server = gcs.gcs()
    return {
        "pypi.storage": "gcs",
        "storage.bucket": gcs.BUCKET,
        "storage.prefix": prefix,
        "storage.gcp_service_account_json_filename": server.credentials("owner"),
        "storage.gcp_project_id": "project",
        "storage.gcp_api_endpoint": server.endpoint_url,
    }


def azure_options(prefix: str) -> dict[str, str]:
    """What a site says of that container."""
    return {
        "pypi.storage": "azure-blob",
        "storage.storage_container_name": azurite.CONTAINER,
        "storage.prefix": prefix,
        "storage.storage_account_name": azurite.ACCOUNT,
        "storage.storage_account_key": azurite.KEY,
        "storage.storage_account_url": azurite.azurite().url,
    }


def s3_options(prefix: str) -> dict[str, str]:
    """What a site says of the bucket of SeaweedFS."""
    server = s3.seaweed()
    return {
        "pypi.storage": "s3",
        "storage.bucket": s3.BUCKET,
        "storage.prefix": prefix,
        "storage.endpoint_url": server.endpoint_url,
        "storage.region_name": s3.REGION,
        "storage.addressing_style": "path",
        "storage.aws_access_key_id": server.access_key_id,
        "storage.aws_secret_access_key": server.secret_access_key,
    }


def _container() -> ContainerClient:
    credential = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
    return ContainerClient(azurite.azurite().url, azurite.CONTAINER, credential=credential)
