"""A strict Google Cloud Storage: fake-gcs-server, with what it lets pass refused in front of it.

Generations are compared before every write and delete, under a lock for each object; tokens
and signed URLs are verified; hashes that a client declares are compared; resumable uploads
come in chunks, can be asked for, and can be cancelled. For tests it tells what it was asked
(``GET /_log``), and hands out some objects as slowly as they like (``PUT /_pace``).

    python -m tests.servers.gcs_front PORT URL_OF_FAKE_GCS_SERVER FOLDER
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.message
import hashlib
import json
import re
import secrets
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import uvloop
from aiohttp import web

from tests.servers.gcs_identity import VIEWER, Identities

QUANTUM = 2**18
KNOWN = {"name", "contentType", "cacheControl", "contentDisposition", "md5Hash", "storageClass"}
KNOWN |= {"metadata", "contentEncoding"}
FORBIDDEN = "forbidden"
"""The bucket that nobody may use."""
CARELESS = "careless"
"""The bucket that compares neither generations nor hashes."""
KMS = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+\Z")
UPLOAD = "/upload/storage/v1/b/{bucket}/o"
BATCHED = re.compile(r"DELETE /storage/v1/b/([^/ ]+)/o/([^/ ]+) HTTP/1\.1\r?\n")
OBJECT = "/storage/v1/b/{bucket}/o/{name:.+}"


@dataclass(slots=True)
class Pace:
    """Objects whose name begins with ``prefix`` go out ``count`` bytes at a time."""

    prefix: str
    count: int
    seconds: float
    """The pause between two of them."""


@dataclass(slots=True)
class Upload:
    """A resumable upload under way."""

    bucket: str
    resource: dict[str, Any]
    params: Mapping[str, str]
    size: int
    content: bytearray = field(default_factory=bytearray)
    answer: bytes | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Refusal(web.HTTPException):
    """An error as Google answers it."""

    def __init__(self, status: int, message: str) -> None:
        self.status_code = status
        error = {"error": {"code": status, "message": message}}
        super().__init__(text=json.dumps(error), content_type="application/json")


class Front:
    """The doors, and what they know."""

    def __init__(self, upstream: str, identities: Identities) -> None:
        self.upstream = upstream
        self.identities = identities
        self.generations: dict[tuple[str, str], str] = {}
        self.locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.uploads: dict[str, Upload] = {}
        self.paces: list[Pace] = []
        self.log: list[dict[str, Any]] = []

    async def application(self) -> web.Application:
        """The application; the upstream's buckets are made."""
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        for bucket in ("packages", FORBIDDEN, CARELESS):
            await self.session.post(f"{self.upstream}/storage/v1/b", json={"name": bucket})
        application = web.Application(client_max_size=2**31)
        application.add_routes(
            [
                *self.identities.routes(),
                web.put("/_pace", self.slow_down),
                web.get("/_log", self.tell),
                web.post(UPLOAD, self.upload),
                web.put(UPLOAD, self.chunk),
                web.delete(UPLOAD, self.cancel),
                web.get("/storage/v1/b/{bucket}/o", self.list_),
                web.get(OBJECT, self.read, allow_head=False),
                web.delete(OBJECT, self.delete),
                web.post("/batch/storage/v1", self.batch),
                web.get("/{bucket}/{name:.+}", self.signed, allow_head=False),
            ]
        )
        return application

    async def slow_down(self, request: web.Request) -> web.Response:
        """For tests: how fast some objects go out from now on."""
        self.paces.append(Pace(**await request.json()))
        return web.Response()

    async def tell(self, request: web.Request) -> web.Response:
        """For tests: what was asked about objects whose name begins with ``prefix``."""
        prefix = request.query["prefix"]
        told = [entry for entry in self.log if entry["name"].startswith(prefix)]
        open_ = sum(
            upload.answer is None and upload.resource["name"].startswith(prefix)
            for upload in self.uploads.values()
        )
        return web.json_response({"requests": told, "open_uploads": open_})

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Begin a resumable upload, or write an object at once."""
        bucket = self._admitted(request)
        body = await request.read()
        if request.query["uploadType"] == "resumable":
            resource = json.loads(body)
            self._asked("session", request, resource["name"], resource)
            self._checked(resource, request.query)
            size = int(request.headers["X-Upload-Content-Length"])
            id_ = secrets.token_hex(16)
            self.uploads[id_] = Upload(bucket, resource, dict(request.query), size)
            url = (
                f"{request.scheme}://{request.host}/upload/storage/v1/b/{bucket}/o?upload_id={id_}"
            )
            return web.Response(headers={"Location": url})
        if request.query["uploadType"] != "multipart":
            raise Refusal(400, "This front knows multipart and resumable uploads")
        boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, rest = body.removeprefix(b"--" + boundary + b"\r\n").partition(
            b"\r\n--" + boundary
        )
        resource = json.loads(head.partition(b"\r\n\r\n")[2])
        content = rest.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n--" + boundary + b"--\r\n")
        self._asked("upload", request, resource["name"], resource)
        self._checked(resource, request.query)
        return await self._write(bucket, resource, content, request.query)

    async def chunk(self, request: web.Request) -> web.StreamResponse:
        """More of a resumable upload, or a question how far it is."""
        upload = self.uploads.get(request.query["upload_id"])
        if upload is None:
            raise Refusal(404, "No such upload")
        extent, _, size = request.headers["Content-Range"].removeprefix("bytes ").partition("/")
        if int(size) != upload.size:
            raise Refusal(400, "Another size than was announced")
        operation = "query" if extent == "*" else "chunk"
        self._asked(operation, request, upload.resource["name"])
        async with upload.lock:
            if upload.answer is None and extent != "*":
                await self._extend(upload, request, extent)
            if upload.answer is None and len(upload.content) == upload.size:
                await self._complete(upload, request)
        if upload.answer is not None:
            return web.Response(body=upload.answer, content_type="application/json")
        kept = len(upload.content)
        headers = {"Range": f"bytes=0-{kept - 1}"} if kept else {}
        return web.Response(status=308, headers=headers)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Forget a resumable upload."""
        upload = self.uploads.pop(request.query["upload_id"], None)
        if upload is None:
            raise Refusal(404, "No such upload")
        self._asked("cancel", request, upload.resource["name"])
        return web.Response(status=499)

    async def list_(self, request: web.Request) -> web.StreamResponse:
        """A page of the list of objects."""
        bucket = self._admitted(request)
        self._asked("list", request, request.query.get("prefix", ""))
        async with self.session.get(
            f"{self.upstream}/storage/v1/b/{bucket}/o", params=request.query
        ) as answer:
            if answer.status == 404:
                raise Refusal(404, "The specified bucket does not exist.")
            return web.Response(
                status=answer.status, body=await answer.read(), content_type="application/json"
            )

    async def read(self, request: web.Request) -> web.StreamResponse:
        """The resource of an object, or its bytes."""
        bucket, name = self._admitted(request), request.match_info["name"]
        media = request.query.get("alt") == "media"
        self._asked("media" if media else "head", request, name)
        if (condition := request.query.get("ifGenerationMatch")) is not None:
            self._require(bucket, name, condition)
        url = self._url(bucket, name)
        return await self._passed(request, bucket, f"{url}?alt=media" if media else url)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Remove an object."""
        bucket, name = self._admitted(request), request.match_info["name"]
        self._asked("delete", request, name)
        await self._remove(bucket, name, request.query.get("ifGenerationMatch"))
        return web.Response(status=204)

    async def batch(self, request: web.Request) -> web.StreamResponse:
        """Remove up to a hundred objects: a multipart/mixed of requests, and one of answers."""
        type_ = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n"
        parts = email.message_from_bytes(type_.encode() + await request.read()).walk()
        answers = await asyncio.gather(
            *(self._batched(request, part) for part in parts if not part.is_multipart())
        )
        if len(answers) > 100:
            raise Refusal(400, "The batch is too large")
        body = "".join(f"--batch\r\n{answer}\r\n" for answer in answers) + "--batch--\r\n"
        return web.Response(
            body=body.encode(), headers={"Content-Type": "multipart/mixed; boundary=batch"}
        )

    async def _batched(self, request: web.Request, part: email.message.Message) -> str:
        found = BATCHED.match(str(part.get_payload()))
        status = 400
        if found is not None and self.identities.whose(request) is not None:
            bucket, name = found[1], unquote(found[2])
            self._asked("batched", request, name)
            try:
                # The word is one of the tests: such a key is not removed this way.
                status = 503 if "stubborn" in name else 204
                if status == 204:
                    await self._remove(bucket, name)
            except Refusal as refusal:
                status = refusal.status
        id_ = str(part["Content-ID"]).removeprefix("<")
        head = f"Content-Type: application/http\r\nContent-ID: <response-{id_}\r\n\r\n"
        return f"{head}HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: 0\r\n\r\n"

    async def _remove(self, bucket: str, name: str, generation: str | None = None) -> None:
        async with self.locks[bucket, name]:
            if generation is not None:
                self._require(bucket, name, generation)
            self.generations.pop((bucket, name), None)
            async with self.session.delete(self._url(bucket, name)) as answer:
                if answer.status == 404:
                    raise Refusal(404, f"No such object: {bucket}/{name}")

    async def signed(self, request: web.Request) -> web.StreamResponse:
        """The bytes of an object, for whoever has a signed URL."""
        if "Authorization" in request.headers:
            raise Refusal(400, "Both a signature and a header")
        if (why := self.identities.verify_url(request)) is not None:
            raise Refusal(400 if why == "ExpiredToken" else 403, why)
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        self._asked("signed", request, name)
        return await self._passed(request, bucket, f"{self._url(bucket, name)}?alt=media")

    def _admitted(self, request: web.Request) -> str:
        """The bucket, for callers who may use it."""
        bucket = request.match_info["bucket"]
        caller = self.identities.whose(request)
        if caller is None:
            raise Refusal(401, "Invalid Credentials")
        if caller == VIEWER and request.method not in ("GET", "HEAD"):
            raise Refusal(403, f"{caller} does not have storage.objects.create access.")
        if bucket == FORBIDDEN:
            raise Refusal(
                403, "The caller does not have storage.objects.list access to the bucket."
            )
        return bucket

    def _asked(
        self, operation: str, request: web.Request, name: str, resource: object = None
    ) -> None:
        shown = {"Range", "X-Goog-Hash", "Content-Range"} & request.headers.keys()
        self.log.append(
            {
                "operation": operation,
                "name": name,
                "params": dict(request.query),
                "headers": {header: request.headers[header] for header in shown},
                "resource": resource,
            }
        )

    def _checked(self, resource: Mapping[str, Any], params: Mapping[str, str]) -> None:
        if unknown := resource.keys() - KNOWN:
            raise Refusal(400, f"Unknown fields: {sorted(unknown)}")
        if not KMS.match(
            params.get("kmsKeyName", "projects/p/locations/l/keyRings/r/cryptoKeys/k")
        ):
            raise Refusal(400, "Malformed Cloud KMS crypto key")
        metadata = resource.get("metadata", {})
        if sum(len(k.encode()) + len(v.encode()) for k, v in metadata.items()) > 8192:
            raise Refusal(400, "Metadata too large")

    async def _extend(self, upload: Upload, request: web.Request, extent: str) -> None:
        first, last = map(int, extent.split("-"))
        if last + 1 < upload.size and (last + 1 - first) % QUANTUM:
            raise Refusal(400, "A chunk that is no multiple of 256 KiB")
        if first > len(upload.content):
            raise Refusal(400, "A chunk that leaves a gap")
        del upload.content[first:]
        try:
            async for piece in request.content.iter_any():
                upload.content += piece
        finally:
            # Of a chunk that is cut, whole quanta are kept.
            if len(upload.content) != last + 1:
                del upload.content[len(upload.content) // QUANTUM * QUANTUM :]

    async def _complete(self, upload: Upload, request: web.Request) -> None:
        if hashes := request.headers.get("X-Goog-Hash"):
            upload.resource["md5Hash"] = hashes.removeprefix("md5=")
        try:
            written = await self._write(
                upload.bucket, upload.resource, bytes(upload.content), upload.params
            )
        except Refusal:
            del self.uploads[request.query["upload_id"]]
            raise
        upload.answer = bytes(written.body)  # type: ignore[arg-type]  # it was made of bytes
        upload.content.clear()

    async def _write(
        self, bucket: str, resource: Mapping[str, Any], content: bytes, params: Mapping[str, str]
    ) -> web.Response:
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        if resource.get("md5Hash", md5) != md5 and bucket != CARELESS:
            raise Refusal(400, f"Provided MD5 hash does not match calculated MD5 hash {md5}.")
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(resource)}\r\n"
        head += f"--{boundary}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        async with self.locks[bucket, resource["name"]]:
            condition = params.get("ifGenerationMatch")
            if condition is not None and bucket != CARELESS:
                self._require(bucket, resource["name"], condition)
            async with self.session.post(
                f"{self.upstream}/upload/storage/v1/b/{bucket}/o?uploadType=multipart",
                data=aiohttp.BytesPayload(body) if len(body) < 2**20 else _pieces(body),
                headers={
                    "Content-Type": f"multipart/related; boundary={boundary}",
                    "Content-Length": str(len(body)),
                },
            ) as answer:
                if answer.status == 404:
                    raise Refusal(404, "The specified bucket does not exist.")
                written = await answer.read()
                self.generations[bucket, resource["name"]] = json.loads(written)["generation"]
                return web.Response(body=written, content_type="application/json")

    def _require(self, bucket: str, name: str, generation: str) -> None:
        if self.generations.get((bucket, name), "0") != generation:
            raise Refusal(412, "At least one of the pre-conditions you specified did not hold.")

    async def _passed(self, request: web.Request, bucket: str, url: str) -> web.StreamResponse:
        """What the upstream answers to a GET."""
        name = request.match_info["name"]
        headers = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        async with self.session.get(url, headers=headers) as answer:
            if answer.status == 404:
                raise Refusal(404, f"No such object: {bucket}/{name}")
            body = await answer.read()
            passed = {
                header: value
                for header, value in answer.headers.items()
                if header.lower().startswith(("x-goog-", "content-", "cache-", "etag", "last-"))
            }
            response = web.StreamResponse(status=answer.status, headers=passed)
        response.content_length = len(body)
        await response.prepare(request)
        pace = next((pace for pace in self.paces if name.startswith(pace.prefix)), None)
        count = pace.count if pace else QUANTUM
        for start in range(0, len(body), count):
            if start and pace:
                await asyncio.sleep(pace.seconds)
            await response.write(body[start : start + count])
        return response

    def _url(self, bucket: str, name: str) -> str:
        return f"{self.upstream}/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


async def _pieces(body: bytes) -> Any:
    for start in range(0, len(body), QUANTUM):
        yield body[start : start + QUANTUM]


async def main(port: int, upstream: str, folder: Path) -> None:
    """Serve until killed."""
    identities = Identities(f"http://127.0.0.1:{port}")
    identities.write(folder)
    runner = web.AppRunner(await Front(upstream, identities).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
