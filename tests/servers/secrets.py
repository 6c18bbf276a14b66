"""AWS Secrets Manager as ministack has it; tests keep apart by the name of their secret."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.servers.running import shared
from tests.servers.s3 import start_ministack

REGION = "us-east-1"


def port() -> int:
    """Where the one of this run listens."""
    return shared("ministack", start_ministack).ports["gateway"]


def options_at(port: int) -> dict[str, object]:
    """The options for the server behind this port."""
    keys = {"access_key_id": "test", "secret_access_key": "test", "region": REGION}
    return {"endpoint_url": f"http://127.0.0.1:{port}", **keys}


def ask(operation: str, **parameters: object) -> dict[str, Any]:
    """What the server says to somebody without an SDK; it asks for no signature."""
    headers = {
        "X-Amz-Target": f"secretsmanager.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    answer = httpx.post(f"http://127.0.0.1:{port()}", headers=headers, json=parameters)
    told: dict[str, Any] = answer.json()
    return told


def document(name: str) -> dict[str, Any]:
    """What the secret holds."""
    found: dict[str, Any] = json.loads(ask("GetSecretValue", SecretId=name)["SecretString"])
    return found
