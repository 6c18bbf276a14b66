"""The handler of AWS Lambda, invoked with events as API Gateway and an ALB send them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment.tools import DEPLOY
from tests.e2e.server import PYPICLOUD
from tests.factories import form, make_wheel
from tests.processes import PASSWORD
from tests.servers import s3
from tests.servers.running import ROOT

BASIC = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
MADE = make_wheel("on-lambda", "1.0", files={"on_lambda.py": b'ODD = "\xc3\xbf"\n'})
SCRIPT = """
import json, sys
sys.path[:0] = sys.argv[1:]
from lambda_handler import handler
answers = [handler(event, None) for event in json.load(sys.stdin)]
handler.close()
json.dump(answers, sys.stdout)
"""


def gateway(method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    """An event of API Gateway's HTTP API, payload format 2.0; binary as base64."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "pypi.example.com", "x-forwarded-proto": "https", **headers},
        "requestContext": {
            "domainName": "pypi.example.com",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
            },
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def balancer(method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    """An event of an Application Load Balancer with headers of several values."""
    sent = {"host": "pypi.example.com", "x-forwarded-for": "192.0.2.7", **headers}
    sent |= {"x-forwarded-proto": "https", "x-forwarded-port": "443"}
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": method,
        "path": path,
        "multiValueQueryStringParameters": {},
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def invoke(folder: Path, *events: dict[str, Any], **variables: str) -> list[dict[str, Any]]:
    """The answers of one environment of the function, in order; the index is built before."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PYPICLOUD_ADMIN_PASSWORD": PASSWORD,
        "PYPICLOUD_PUBLIC_URL": "https://pypi.example.com",
        "PYPICLOUD_INSPECTORS": "1",
        **variables,
    }
    command = [str(PYPICLOUD), "reindex"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(DEPLOY), str(ROOT)],
        cwd=folder,
        env=environment,
        input=json.dumps(events),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    answers: list[dict[str, Any]] = json.loads(ran.stdout)
    return answers


def uploaded(event: Any) -> dict[str, Any]:
    """An upload by whichever way events come."""
    fields = form(MADE, "on-lambda", "1.0")
    request = httpx.Request(
        "POST", "https://pypi.example.com/legacy/", data=fields, files={"content": MADE}
    )
    body = request.read()
    headers = {"content-type": request.headers["content-type"], "content-length": str(len(body))}
    made: dict[str, Any] = event("POST", "/legacy/", body, authorization=BASIC, **headers)
    return made


def body(answer: dict[str, Any]) -> bytes:
    """What was answered."""
    text = answer["body"]
    return base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()


@pytest.mark.parametrize("event", [gateway, balancer])
def test_uploads_and_downloads(tmp_path: Path, event: Any) -> None:
    """A binary upload, its page, the very bytes, and 401 with what asks for a password."""
    page = f"/files/on-lambda/{MADE.filename}"
    json_page = {"accept": "application/vnd.pypi.simple.v1+json"}
    sent, listed, got, refused, missing = invoke(
        tmp_path,
        uploaded(event),
        event("GET", "/simple/on-lambda/", authorization=BASIC, **json_page),
        event("GET", page, authorization=BASIC),
        event("GET", page),
        event("GET", "/simple/no-such-project/", authorization=BASIC),
    )
    assert sent["statusCode"] == 200, body(sent)
    (file,) = json.loads(body(listed))["files"]
    assert file["hashes"]["sha256"] == MADE.sha256
    assert (got["statusCode"], body(got)) == (200, MADE.content)
    assert refused["statusCode"] == 401
    assert "www-authenticate" in {
        **refused.get("headers", {}),
        **refused.get("multiValueHeaders", {}),
    }
    assert missing["statusCode"] == 404


def test_downloads_are_redirected_to_the_bucket(tmp_path: Path) -> None:
    """So no distribution has to fit into an answer of Lambda's; the URL serves the bytes."""
    bucket = s3.seaweed()
    variables = {"PYPICLOUD_STORAGE": f"s3://{s3.BUCKET}/on-lambda", **bucket.environment}
    sent, moved = invoke(
        tmp_path,
        uploaded(gateway),
        gateway("GET", f"/files/on-lambda/{MADE.filename}", authorization=BASIC),
        **variables,
    )
    assert sent["statusCode"] == 200, body(sent)
    assert moved["statusCode"] == 302
    assert httpx.get(moved["headers"]["location"], trust_env=False).content == MADE.content
