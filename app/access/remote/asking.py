"""Questions to the server: each bounded in time and size, and none sent on elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from app import errors
from app.access.options import RemoteOptions
from app.access.remote.shapes import shapeless

REMEMBERED = 10_000
"""Answers."""


class Server:
    """The server below ``base``, asked through ``session``."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        options: RemoteOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base = base
        self.options = options
        self._session, self._options, self._clock = session, options, clock
        self._ttl = options.cache.total_seconds()
        self._answers: dict[tuple[str, str], tuple[float, Any]] = {}

    async def told(self, path: str, by: str, value: str, *, absent: bool = False) -> Any:
        """An answer, remembered for a while; by no parameter where ``by`` is empty."""
        key = (f"{path}?{by}", value)
        held = self.remembered(key)
        if held is None:
            held = (await self.ask(path, {by: value} if by else {}, absent=absent),)
            self.remember(key, held)
        return held[0]

    async def ask(self, path: str, asked: Mapping[str, str], *, absent: bool = False) -> Any:
        """The JSON that the server answers; None for 404 where that may be."""
        given: dict[str, Any] = {"data": asked} if self._options.method == "post" else {}
        if self._options.method == "get":
            given = {"params": asked}
        try:
            async with self._session.request(
                self._options.method, self.base + path, allow_redirects=False, **given
            ) as answer:
                if absent and answer.status == 404:
                    return None
                if answer.status != 200:
                    raise errors.AccessUnavailable(
                        f"The access server answers {answer.status} to {path}."
                    )
                body = await self._body(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # Not its text: that may hold the URL, and the URL a password.
            raise errors.AccessUnavailable(
                f"The access server does not answer ({type(error).__name__})."
            ) from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise shapeless(path) from None

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > self._options.largest:
                raise errors.AccessUnavailable("The access server answers more than is taken.")
        return bytes(body)

    def remembered(self, key: tuple[str, str]) -> Any:
        """What is remembered under a key, or None."""
        until, held = self._answers.get(key, (0.0, None))
        return held if self._clock() < until else None

    def remember(self, key: tuple[str, str], held: Any) -> None:
        """Remember it for a while."""
        self._answers.pop(key, None)
        if len(self._answers) >= REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (self._clock() + self._ttl, held)
