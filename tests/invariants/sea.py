"""An object store with a proxy before it, and clients that do not give up."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
from botocore.config import Config

from tests.factories import Made
from tests.invariants.reader import Reader, dangling
from tests.invariants.server import JSON, Server, get, upload
from tests.servers import s3
from tests.servers.faults import FaultProxy
from tests.servers.plans import Answer, Fault, Injected, Plan, Request, Seeded

PATIENCE = 90.0
"""Seconds until a client that tries again must have its answer."""
_START = re.compile(r"(/|%2F)probes(/|%2F)|max-keys=1\b")
"""What a server asks before it is there: it does not start beside a store that is not."""


def busy(status: int, reason: str, code: str, *, done: bool = False) -> Answer:
    """S3 says that it has no time now."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Please wait</Message></Error>"
    return Answer(status, reason, ("Content-Type: application/xml",), body.encode(), done)


FAULTS: tuple[Injected, ...] = (
    *(fault for fault in Fault if fault is not Fault.FLIPPED),
    busy(503, "Slow Down", "SlowDown"),
    busy(500, "Internal Server Error", "InternalError"),
    busy(500, "Internal Server Error", "InternalError", done=True),
    busy(429, "Too Many Requests", "TooManyRequests"),
)
"""All but what only TLS could see: a byte that is changed on its way back."""


@dataclass(frozen=True, slots=True)
class Sea:
    """A prefix in a bucket, and what stands before it."""

    store: s3.S3Server
    proxy: FaultProxy
    prefix: str

    def settings(self, **others: str) -> dict[str, str]:
        """Of a server that reaches the store through the proxy; clients reach it directly."""
        options = {name.upper(): str(value) for name, value in self.store.options.items()}
        options |= {"ENDPOINT_URL": self.proxy.url, "PUBLIC_URL": self.store.endpoint_url}
        options |= {"CONNECT_TIMEOUT": "1s", "READ_TIMEOUT": "1s"}
        return {
            "STORAGE": f"s3://{s3.BUCKET}/{self.prefix}",
            **{f"S3__{name}": value for name, value in options.items()},
            **others,
        }

    def keys(self, prefix: str) -> set[str]:
        """The keys below a prefix."""
        pages = self._client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=s3.BUCKET, Prefix=f"{self.prefix}/{prefix}")
        listed = (entry["Key"] for page in found for entry in page.get("Contents", ()))
        return {key.removeprefix(f"{self.prefix}/") for key in listed}

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.store.endpoint_url,
            region_name=s3.REGION,
            aws_access_key_id=self.store.access_key_id,
            aws_secret_access_key=self.store.secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )


def storm(seed: int, rate: float) -> Plan:
    """Every ``1 / rate``-th request has a fault, but for those of a start."""
    seeded = Seeded(seed, rate, FAULTS)

    def plan(request: Request) -> Injected | None:
        return None if _START.search(request.target) else seeded(request)

    return plan


@dataclass(slots=True)
class KillAt:
    """The plan that kills the server at request ``number`` that is no listing.

    The store does that request where ``fault`` says so.
    """

    server: Server
    number: int
    fault: Fault
    killed: str = ""
    """The request at which it did."""

    def __call__(self, request: Request) -> Injected | None:
        if self.killed:
            return Fault.RESET
        if "list-type=2" in request.target:
            return None
        self.number -= 1
        if self.number:
            return None
        self.killed = f"{request.method} {request.target}"
        os.kill(self.server.pid, signal.SIGKILL)
        return self.fault


def until_answered(
    servers: Sequence[Server], ask: Callable[[Server], httpx.Response], seed: int
) -> httpx.Response:
    """Ask one server or another until it says more than "later"; fails if that takes too long."""
    chance = random.Random(seed)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            answer = ask(chance.choice(servers))
        except httpx.TransportError:
            pass  # it was killed
        else:
            if answer.status_code < 500:
                return answer
            assert answer.status_code == 503, (answer.status_code, answer.text)
        time.sleep(chance.uniform(0.05, 0.3))
    raise AssertionError(f"no answer within {PATIENCE} s")


def uploaded(servers: Sequence[Server], made: Made, project: str, version: str, seed: int) -> int:
    """Upload, again and again where need be: 200 or 400."""
    answer = until_answered(servers, lambda server: upload(server, made, project, version), seed)
    assert answer.status_code in (200, 400), (answer.status_code, answer.text)
    assert answer.status_code == 200 or "File already exists" in answer.text, answer.text
    return answer.status_code


def files(server: Server, project: str) -> dict[str, dict[str, Any]]:
    """What the project's page says of each file, without serials; URLs need no page."""
    page = until_answered(
        [server], lambda server: get(f"{server.url}/simple/{project}/", Accept=JSON), 0
    )
    if page.status_code == 404:
        return {}
    return {
        file["filename"]: {**file, "url": str(page.url.join(file["url"]))}
        for file in page.json()["files"]
    }


def require_whole(server: Server, project: str) -> None:
    """Every file of the project's page can be downloaded, and is what the page says."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        for file in files(server, project).values():
            wrong = patiently(client, file)
            assert not wrong, f"{file['filename']}: {wrong}"


def patiently(client: httpx.Client, file: dict[str, Any]) -> str | None:
    """``dangling``, but "later", an end too early and a dead server say nothing of the file."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            wrong = dangling(client, file)
        except httpx.TransportError:
            wrong = "a body that broke off"
        else:
            if wrong is None or not wrong.endswith("answered 503"):
                return wrong
        if time.monotonic() > deadline:
            return wrong
        time.sleep(0.05)


class PatientReader(Reader):
    """A reader whose server may say "later"."""

    def wrong(self, client: httpx.Client, file: dict[str, Any]) -> str | None:
        return patiently(client, file)
