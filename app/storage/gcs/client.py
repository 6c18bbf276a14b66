"""Requests to Google, each bounded in time and in tries."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import aiohttp
from gcloud.aio.storage import Storage
from yarl import URL

from app.storage.gcs.credentials import Token
from app.storage.gcs.failures import Failed, translated
from app.storage.options.gcs import GCSOptions

ENDPOINT = "https://storage.googleapis.com"
WHO = "Google Cloud Storage"
SLICE = 2**18
"""Bytes that the other side must take within the read time-out."""

PAUSE = 0.2
"""Seconds, on the average, before the second try; twice as long before each further one."""

Resource = dict[str, Any]
Buffer = bytes | bytearray | memoryview
T = TypeVar("T")


class Answer(NamedTuple):
    """A small answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def resource(self) -> Resource:
        """Its JSON."""
        try:
            resource: Resource = json.loads(self.content)
        except ValueError:
            raise Failed(f"An answer of Google's ({self.status}) is no JSON") from None
        return resource


class Client:
    """One bucket by gcloud-aio's Storage. Raises Failed, and nothing else, when a request fails."""

    def __init__(
        self, options: GCSOptions, bucket: str, token: Token, session: aiohttp.ClientSession
    ) -> None:
        self.bucket = bucket
        self.token = token
        self.endpoint = options.endpoint_url or ENDPOINT
        self.attempts = options.attempts
        self._patience = options.read_timeout.total_seconds()
        connect = options.connect_timeout.total_seconds()
        # Storage's own time-outs count until the last byte. Its hints know numbers only.
        self._timeout: Any = aiohttp.ClientTimeout(
            total=None,
            connect=connect + self._patience,
            sock_connect=connect,
            sock_read=self._patience,
        )
        # With an endpoint of one's own it would go without a token, unless told otherwise.
        self._storage = Storage(
            token=token,
            session=session,  # type: ignore[arg-type]  # the hint is that of its twin
            api_root=self.endpoint,
            api_is_dev=False,
        )

    async def metadata(self, name: str) -> Resource | None:
        """The resource of an object, or None where there is none of that name."""
        try:
            return await self.tried(
                lambda: self._storage.download_metadata(self.bucket, name, timeout=self._timeout)
            )
        except Failed as failed:
            if failed.absent:
                return None
            raise

    async def delete(self, name: str, **params: str) -> None:
        """Remove an object; one that is not there is fine."""
        try:
            await self.tried(
                lambda: self._storage.delete(
                    self.bucket, name, params=dict(params), timeout=self._timeout
                )
            )
        except Failed as failed:
            if not failed.absent:
                raise

    async def page(self, **params: str) -> Resource:
        """A page of the list of objects."""
        return await self.tried(
            lambda: self._storage.list_objects(
                self.bucket, params=dict(params), timeout=self._timeout
            )
        )

    async def open(
        self, name: str, headers: Mapping[str, str], **params: str
    ) -> aiohttp.ClientResponse:
        """The bytes of an object as they are stored, under way. Tries once."""
        with translated(WHO):
            try:
                return await self._storage.session.get(
                    f"{self.endpoint}/storage/v1/b/{self.bucket}/o/{quote(name, safe='')}",
                    # Asked for gzip, the store leaves what is compressed as it is.
                    headers={"Accept-Encoding": "gzip", **headers, **await self.authorization()},
                    params={"alt": "media", **params},
                    timeout=self._timeout,
                    auto_decompress=False,
                )
            except aiohttp.ClientResponseError as answer:
                self._refused(answer.status)
                raise

    async def send(
        self,
        method: str,
        url: str,
        body: Buffer = b"",
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        anonymous: bool = False,
        who: str = WHO,
    ) -> Answer:
        """Send a body and read a small answer. Tries once; redirections are answers."""
        authorization = {} if anonymous else await self.authorization()
        address: Any = URL(url, encoded=True)  # a session's URL goes back as it came
        with translated(who):
            try:
                async with asyncio.timeout(None) as stall:
                    response = await self._storage.session.request(
                        method,
                        address,
                        {
                            "Content-Length": str(len(body)),
                            **(headers or {}),
                            **authorization,
                        },
                        params=params,
                        data=self._slices(body, stall) if body else None,
                        timeout=self._timeout,
                        allow_redirects=False,
                    )
                    async with response:
                        content = await response.read()
            except aiohttp.ClientResponseError as answer:
                if not anonymous:
                    self._refused(answer.status)
                raise
        return Answer(response.status, response.headers, content)

    async def tried(self, request: Callable[[], Awaitable[T]]) -> T:
        """The outcome of a request, tried again while that may help."""
        for attempt in range(1, self.attempts):
            try:
                return await self._once(request)
            except Failed as failed:
                if not failed.transient:
                    raise
            await pause(attempt)
        return await self._once(request)

    async def authorization(self) -> dict[str, str]:
        """The header that says who we are."""
        return {"Authorization": f"Bearer {await self.token.get()}"}

    async def _once(self, request: Callable[[], Awaitable[T]]) -> T:
        with translated(WHO):
            try:
                return await request()
            except aiohttp.ClientResponseError as answer:
                self._refused(answer.status)
                raise

    def _refused(self, status: int) -> None:
        if status == 401:
            self.token.forget()

    async def _slices(self, body: Buffer, stall: asyncio.Timeout) -> AsyncIterator[bytes]:
        # aiohttp's time-out begins when all is sent; a stalled upload would wait for ever.
        loop = asyncio.get_running_loop()
        view = memoryview(body)
        for start in range(0, len(view), SLICE):
            stall.reschedule(loop.time() + self._patience)
            yield bytes(view[start : start + SLICE])
        stall.reschedule(loop.time() + 2 * self._patience)


async def pause(attempt: int) -> None:
    """Wait before the try after ``attempt`` failed ones."""
    await asyncio.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
