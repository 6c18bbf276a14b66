"""A CloudFront distribution: signed URLs are verified, bytes come from a bucket.

It does what the documentation says of CloudFront, and shares no code with what signs.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.servers.s3 import BUCKET, S3Server

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
HASHES: Mapping[str, hashes.HashAlgorithm] = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256()}


@contextmanager
def distribution(origin: S3Server, trusted: Mapping[str, PublicKey]) -> Iterator[str]:
    """A distribution before BUCKET, on a free port; gives its URL.

    ``trusted`` are the keys of its key group by their ids; with none, it serves everybody.
    """
    with closing(_client(origin)) as bucket:

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                refused = self._refused()
                if refused is not None:
                    self._send(403, refused.encode())
                    return
                wanted = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
                key = unquote(self.path.partition("?")[0])[1:]
                try:
                    found = bucket.get_object(Bucket=BUCKET, Key=key, **wanted)
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    self._send(status, str(error).encode())
                    return
                status = found["ResponseMetadata"]["HTTPStatusCode"]
                with closing(found["Body"]) as body:
                    self._send(status, body.read())

            def _refused(self) -> str | None:
                if not trusted:
                    return None
                path, _, query = self.path.partition("?")
                url = f"http://{self.headers['Host']}{path}"
                given = dict(pair.partition("=")[::2] for pair in query.split("&"))
                try:
                    verify(url, given, trusted)
                except (InvalidSignature, KeyError, ValueError) as wrong:
                    return f"AccessDenied {wrong!r}"
                return None

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def verify(url: str, given: Mapping[str, str], trusted: Mapping[str, PublicKey]) -> None:
    """Raise unless the parameters of a query sign this URL, and are not expired.

    InvalidSignature, KeyError for a parameter or a key that is missing, else ValueError.
    """
    if "Policy" in given:
        policy = decoded(given["Policy"])
    else:
        epoch = int(given["Expires"])
        condition = {"DateLessThan": {"AWS:EpochTime": epoch}}
        policy = json.dumps(
            {"Statement": [{"Resource": url, "Condition": condition}]}, separators=(",", ":")
        ).encode()
    key = trusted[given["Key-Pair-Id"]]
    signature = decoded(given["Signature"])
    algorithm = HASHES[given.get("Hash-Algorithm", "SHA1")]
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, policy, padding.PKCS1v15(), algorithm)
    else:
        key.verify(signature, policy, ec.ECDSA(algorithm))
    [statement] = json.loads(policy)["Statement"]
    if statement["Resource"] != url:
        raise ValueError(f"signed for {statement['Resource']}")
    if statement["Condition"]["DateLessThan"]["AWS:EpochTime"] <= time.time():
        raise ValueError("expired")


def decoded(parameter: str) -> bytes:
    """What stands in a parameter of a signed URL."""
    return base64.b64decode(parameter.translate(str.maketrans("-_~", "+=/")), validate=True)


def _client(origin: S3Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=origin.endpoint_url,
        region_name=origin.options["region"],
        aws_access_key_id=origin.access_key_id,
        aws_secret_access_key=origin.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
