"""DynamoDB as ministack has it; tests keep apart by table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from ulid import ULID

from tests.servers.running import shared
from tests.servers.s3 import start_ministack

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class DynamoDBServer:
    """How to reach it; its keys are fixed."""

    port: int

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, object]:
        """The options of ``connect``, and so the settings without their prefix."""
        return options_at(self.endpoint_url)

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables for ``pypicloud serve``."""
        return {f"PYPICLOUD_DYNAMODB__{k.upper()}": str(v) for k, v in self.options.items()}


def options_at(endpoint_url: str) -> dict[str, object]:
    """The options for the server behind this endpoint."""
    keys = {"access_key_id": "test", "secret_access_key": "test"}
    return {"endpoint_url": endpoint_url, **keys}


def server() -> DynamoDBServer:
    """The one of this run."""
    return DynamoDBServer(shared("ministack", start_ministack).ports["gateway"])


@asynccontextmanager
async def place(suffix: str = "cache") -> AsyncIterator[str]:
    """The URL of a place that nobody has opened yet; its table goes in the end."""
    prefix = f"t{ULID()}"
    yield f"dynamodb://{REGION}/{prefix}"
    await ask("DeleteTable", TableName=f"{prefix}-{suffix}")


async def ask(operation: str, **parameters: object) -> httpx.Response:
    """What the server says to somebody without an SDK; it asks for no signature."""
    headers = {
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
    }
    async with httpx.AsyncClient() as http:
        return await http.post(server().endpoint_url, headers=headers, json=parameters)
