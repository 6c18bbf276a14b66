"""S3-compatible servers: SeaweedFS (a real store, with and without TLS) and ministack."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import trustme
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.running import INSTALLED, Running, launch, shared

BUCKET = "packages"
"""Made before anybody is given the server. Tests keep apart by prefix."""
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3Server:
    """How to reach a server; both its keys sign for everything."""

    name: str
    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    ca_file: str | None = None

    @property
    def options(self) -> dict[str, object]:
        """The options of ``connect``, and so the settings without their prefix."""
        options: dict[str, object] = {
            "endpoint_url": self.endpoint_url,
            "region": REGION,
            "addressing_style": "path",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
        }
        return options | ({"ca_file": self.ca_file} if self.ca_file else {})

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables for ``pypicloud serve``."""
        return {f"PYPICLOUD_S3__{k.upper()}": str(v) for k, v in self.options.items()}


def seaweed(*, tls: bool = False) -> S3Server:
    """SeaweedFS: verifies signatures and checksums, keeps create-only writes."""
    running = shared("seaweed", start_seaweed)
    port = running.ports["https" if tls else "s3"]
    authority = str(Path(running.folder) / "ca.pem") if tls else None
    url = f"https://127.0.0.1:{port}" if tls else f"http://127.0.0.1:{port}"
    return S3Server("seaweed", url, "seaweed-key", "seaweed-secret", authority)


def reader(server: S3Server) -> S3Server:
    """SeaweedFS for somebody new, who may list and read BUCKET, and nothing else."""
    keys = {
        "aws_access_key_id": server.access_key_id,
        "aws_secret_access_key": server.secret_access_key,
    }
    iam = boto3.client("iam", endpoint_url=server.endpoint_url, region_name=REGION, **keys)
    name = f"reader-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    bucket = f"arn:aws:s3:::{BUCKET}"
    allowed = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"]}
    policy = {
        "Version": "2012-10-17",
        "Statement": [{**allowed, "Resource": [bucket, f"{bucket}/*"]}],
    }
    iam.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return replace(
        server, access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"]
    )


def ministack() -> S3Server:
    """ministack: verifies presigned URLs only; its keys are fixed."""
    running = shared("ministack", start_ministack)
    return S3Server("ministack", f"http://127.0.0.1:{running.ports['gateway']}", "test", "test")


def start_seaweed(folder: Path) -> Running:
    """A SeaweedFS of one process, with BUCKET in it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (folder / "store").mkdir()

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        services = ("master", "volume", "filer", "s3")
        return [
            *(INSTALLED / "bin" / "weed", "-logtostderr=true", "mini", f"-dir={folder / 'store'}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"),
            *(f"-{service}.port={ports[service]}" for service in services),
            *(f"-{service}.port.grpc={ports[f'{service} grpc']}" for service in services),
            *(f"-admin.port={ports['admin']}", f"-admin.port.grpc={ports['admin grpc']}"),
            *(f"-s3.port.iceberg={ports['iceberg']}", f"-s3.port.lance={ports['lance']}"),
            *(f"-s3.port.https={ports['https']}", f"-s3.cert.file={folder / 'cert.pem'}"),
            *(f"-s3.key.file={folder / 'key.pem'}", "-s3.domainName=s3.test.local"),
            *(f"-metricsPort={ports['metrics']}", "-s3.iam.readOnly=false"),
        ]

    uses = ["master", "volume", "filer", "s3", "admin"]
    return launch(
        folder,
        [*uses, *(f"{use} grpc" for use in uses), "https", "iceberg", "lance", "metrics"],
        command,
        lambda ports: _make_bucket(ports["s3"], "seaweed-key", "seaweed-secret"),
        environment={
            "AWS_ACCESS_KEY_ID": "seaweed-key",
            "AWS_SECRET_ACCESS_KEY": "seaweed-secret",
        },
    )


def start_ministack(folder: Path, port: int | None = None) -> Running:
    """A ministack, with BUCKET in it; it is DynamoDB as well. On ``port`` where that is given."""
    return launch(
        folder,
        ["gateway"],
        lambda ports: [
            *("/usr/bin/env", f"GATEWAY_PORT={port or ports['gateway']}"),
            INSTALLED / "bin" / "ministack",
        ],
        lambda ports: _make_bucket(port or ports["gateway"], "test", "test"),
        environment={"BIND_HOST": "127.0.0.1"},
    )


def _make_bucket(port: int, key: str, secret: str) -> None:
    """Make BUCKET and write to it, for a first write may come late; OSError until it works."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "max_attempts": 1},
            connect_timeout=5,
            read_timeout=20,
        ),
    )
    try:
        client.create_bucket(Bucket=BUCKET)
    except (ClientError, BotoCoreError) as error:
        if "BucketAlready" not in str(error):
            raise ConnectionError(str(error)) from error
    try:
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
        client.delete_object(Bucket=BUCKET, Key="ready")
    except (ClientError, BotoCoreError) as error:
        raise ConnectionError(str(error)) from error
    finally:
        client.close()
