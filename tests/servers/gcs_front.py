"""A strict Google Cloud Storage: fake-gcs-server, with what it lets pass refused in front of it.

Generations are compared before every write and delete, under a lock for each object; tokens
and signed URLs are verified; hashes that a client declares are compared; resumable uploads
come in chunks, can be asked for, and can be cancelled. For tests it breaks on purpose what
they ask it to break (``PUT /_faults``) and tells what it was asked (``GET /_log``).

    python -m tests.servers.gcs_front PORT URL_OF_FAKE_GCS_SERVER FOLDER
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

from tests.servers.gcs_identity import Identities

QUANTUM = 2**18
KNOWN = {"name", "contentType", "cacheControl", "contentDisposition", "md5Hash", "storageClass"}
KNOWN |= {"metadata"}
FORBIDDEN = "forbidden"
"""The bucket that nobody may use."""
CARELESS = "careless"
"""The bucket that compares no generations."""
KMS = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+\Z")
UPLOAD = "/upload/storage/v1/b/{bucket}/o"
OBJECT = "/storage/v1/b/{bucket}/o/{name:.+}"


@dataclass(slots=True)
class Fault:
    """What is to go wrong with ``operation`` on objects whose name begins with ``prefix``.

    ``action`` is a status, or: ``reset`` (nothing is done), ``lost`` (done, but not answered),
    ``damage`` (one bit of the body is turned), ``cut`` (the body ends after ``count`` bytes),
    ``stall`` (and pauses there for ``seconds``), ``slow`` (pauses after every ``count`` bytes).
    """

    operation: str
    prefix: str
    action: str
    times: int = 1
    skip: int = 0
    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Upload:
    """A resumable upload under way."""

    bucket: str
    resource: dict[str, Any]
    params: Mapping[str, str]
    size: int
    content: bytearray = field(default_factory=bytearray)
    answer: web.Response | None = None


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
        self.faults: list[Fault] = []
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
                web.put("/_faults", self.break_),
                web.get("/_log", self.tell),
                web.post(UPLOAD, self.upload),
                web.put(UPLOAD, self.chunk),
                web.delete(UPLOAD, self.cancel),
                web.get("/storage/v1/b/{bucket}/o", self.list_),
                web.get(OBJECT, self.read, allow_head=False),
                web.delete(OBJECT, self.delete),
                web.get("/{bucket}/{name:.+}", self.signed, allow_head=False),
            ]
        )
        return application

    async def break_(self, request: web.Request) -> web.Response:
        """For tests: what is to go wrong from now on."""
        self.faults.append(Fault(**await request.json()))
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
            fault = await self._asked("session", request, resource["name"])
            self._checked(resource, request.query)
            size = int(request.headers["X-Upload-Content-Length"])
            id_ = secrets.token_hex(16)
            self.uploads[id_] = Upload(bucket, resource, dict(request.query), size)
            url = f"{self.identities.url}/upload/storage/v1/b/{bucket}/o?upload_id={id_}"
            return self._answer(request, fault, web.Response(headers={"Location": url}))
        if request.query["uploadType"] != "multipart":
            raise Refusal(400, "This front knows multipart and resumable uploads")
        boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, rest = body.removeprefix(b"--" + boundary + b"\r\n").partition(
            b"\r\n--" + boundary
        )
        resource = json.loads(head.partition(b"\r\n\r\n")[2])
        content = rest.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n--" + boundary + b"--\r\n")
        fault = await self._asked("upload", request, resource["name"])
        self._checked(resource, request.query)
        content = _damaged(content) if fault and fault.action == "damage" else content
        answer = await self._write(bucket, resource, content, request.query)
        return self._answer(request, fault, answer)

    async def chunk(self, request: web.Request) -> web.StreamResponse:
        """More of a resumable upload, or a question how far it is."""
        upload = self.uploads.get(request.query["upload_id"])
        if upload is None:
            raise Refusal(404, "No such upload")
        extent, _, size = request.headers["Content-Range"].removeprefix("bytes ").partition("/")
        if int(size) != upload.size:
            raise Refusal(400, "Another size than was announced")
        operation = "query" if extent == "*" else "chunk"
        fault = await self._asked(operation, request, upload.resource["name"])
        if upload.answer is None and extent != "*":
            await self._extend(upload, request, extent, fault)
        if upload.answer is None and len(upload.content) == upload.size:
            hashes = request.headers.get("X-Goog-Hash", "")
            if hashes:
                upload.resource["md5Hash"] = hashes.removeprefix("md5=")
            try:
                upload.answer = await self._write(
                    upload.bucket, upload.resource, bytes(upload.content), upload.params
                )
            except Refusal:
                del self.uploads[request.query["upload_id"]]
                raise
        if upload.answer is not None:
            done = web.Response(body=upload.answer.body, content_type="application/json")
            return self._answer(request, fault, done)
        kept = len(upload.content)
        headers = {"Range": f"bytes=0-{kept - 1}"} if kept else {}
        return self._answer(request, fault, web.Response(status=308, headers=headers))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Forget a resumable upload."""
        upload = self.uploads.pop(request.query["upload_id"], None)
        if upload is None:
            raise Refusal(404, "No such upload")
        fault = await self._asked("cancel", request, upload.resource["name"])
        return self._answer(request, fault, web.Response(status=499))

    async def list_(self, request: web.Request) -> web.StreamResponse:
        """A page of the list of objects."""
        bucket = self._admitted(request)
        fault = await self._asked("list", request, request.query.get("prefix", ""))
        async with self.session.get(
            f"{self.upstream}/storage/v1/b/{bucket}/o", params=request.query
        ) as answer:
            if answer.status == 404:
                raise Refusal(404, "The specified bucket does not exist.")
            listed = web.Response(
                status=answer.status, body=await answer.read(), content_type="application/json"
            )
        return self._answer(request, fault, listed)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """The resource of an object, or its bytes."""
        bucket, name = self._admitted(request), request.match_info["name"]
        media = request.query.get("alt") == "media"
        fault = await self._asked("media" if media else "head", request, name)
        if (condition := request.query.get("ifGenerationMatch")) is not None:
            self._require(bucket, name, condition)
        return await self._passed(request, fault, bucket, self._url(bucket, name))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Remove an object."""
        bucket, name = self._admitted(request), request.match_info["name"]
        fault = await self._asked("delete", request, name)
        async with self.locks[bucket, name]:
            if (condition := request.query.get("ifGenerationMatch")) is not None:
                self._require(bucket, name, condition)
            self.generations.pop((bucket, name), None)
            async with self.session.delete(self._url(bucket, name)) as answer:
                if answer.status == 404:
                    raise Refusal(404, f"No such object: {bucket}/{name}")
        return self._answer(request, fault, web.Response(status=204))

    async def signed(self, request: web.Request) -> web.StreamResponse:
        """The bytes of an object, for whoever has a signed URL."""
        if "Authorization" in request.headers:
            raise Refusal(400, "Both a signature and a header")
        if (why := self.identities.verify_url(request)) is not None:
            raise Refusal(400 if why == "ExpiredToken" else 403, why)
        bucket, name = request.match_info["bucket"], request.match_info["name"]
        fault = await self._asked("signed", request, name)
        return await self._passed(request, fault, bucket, f"{self._url(bucket, name)}?alt=media")

    def _admitted(self, request: web.Request) -> str:
        """The bucket, for callers who may use it."""
        bucket = request.match_info["bucket"]
        if self.identities.whose(request) is None:
            raise Refusal(401, "Invalid Credentials")
        if bucket == FORBIDDEN:
            raise Refusal(
                403, "The caller does not have storage.objects.list access to the bucket."
            )
        return bucket

    async def _asked(self, operation: str, request: web.Request, name: str) -> Fault | None:
        """Write the log; the fault that is due, already done where it prevents the request."""
        headers = {"Range", "X-Goog-Hash", "Content-Range"} & request.headers.keys()
        entry = {"operation": operation, "name": name, "params": dict(request.query)}
        self.log.append(entry | {"headers": {name: request.headers[name] for name in headers}})
        for fault in self.faults:
            if fault.operation != operation or not name.startswith(fault.prefix):
                continue
            if fault.skip or not fault.times:
                fault.skip -= fault.skip > 0
                continue
            fault.times -= 1
            if fault.action.isdigit():
                raise Refusal(int(fault.action), "On purpose")
            if fault.action == "reset":
                _hang_up(request)
                raise Refusal(500, "Nobody reads this")
            return fault
        return None

    def _answer(
        self, request: web.Request, fault: Fault | None, answer: web.Response
    ) -> web.Response:
        if fault and fault.action == "lost":
            _hang_up(request)
        return answer

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

    async def _extend(
        self, upload: Upload, request: web.Request, extent: str, fault: Fault | None
    ) -> None:
        first, last = map(int, extent.split("-"))
        if last + 1 < upload.size and (last + 1 - first) % QUANTUM:
            raise Refusal(400, "A chunk that is no multiple of 256 KiB")
        if first > len(upload.content):
            raise Refusal(400, "A chunk that leaves a gap")
        content = await request.read()
        if len(content) != last + 1 - first:
            raise Refusal(400, "Other bytes than announced")
        content = _damaged(content) if fault and fault.action == "damage" else content
        if fault and fault.action == "cut":
            content = content[: fault.count // QUANTUM * QUANTUM]
        del upload.content[first:]
        upload.content += content

    async def _write(
        self, bucket: str, resource: Mapping[str, Any], content: bytes, params: Mapping[str, str]
    ) -> web.Response:
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        if resource.get("md5Hash", md5) != md5:
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

    async def _passed(
        self, request: web.Request, fault: Fault | None, bucket: str, url: str
    ) -> web.StreamResponse:
        """What the upstream answers to a GET, with its bytes broken as the fault says."""
        headers = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        if "alt=media" not in url and request.query.get("alt") == "media":
            url += "?alt=media"
        async with self.session.get(url, headers=headers) as answer:
            if answer.status == 404:
                raise Refusal(404, f"No such object: {bucket}/{request.match_info['name']}")
            body = await answer.read()
            passed = {
                name: value
                for name, value in answer.headers.items()
                if name.lower().startswith(("x-goog-", "content-", "cache-", "etag", "last-"))
            }
            response = web.StreamResponse(status=answer.status, headers=passed)
        if fault is None:
            fault = Fault("", "", "")
        if fault.action == "damage":
            body = _damaged(body)
        response.content_length = len(body)
        await response.prepare(request)
        for start in range(0, len(body), fault.count or QUANTUM):
            if start and fault.action == "cut":
                _hang_up(request)
                break
            if start and fault.action in ("slow", "stall"):
                await asyncio.sleep(fault.seconds)
            await response.write(body[start : start + (fault.count or QUANTUM)])
        return response

    def _url(self, bucket: str, name: str) -> str:
        return f"{self.upstream}/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


async def _pieces(body: bytes) -> Any:
    for start in range(0, len(body), QUANTUM):
        yield body[start : start + QUANTUM]


def _damaged(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def main(port: int, upstream: str, folder: Path) -> None:
    """Serve until killed."""
    identities = Identities(f"http://127.0.0.1:{port}")
    identities.write(folder)
    runner = web.AppRunner(await Front(upstream, identities).application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
