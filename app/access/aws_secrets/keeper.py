"""The secret: remembered for seconds, and replaced only if it is still the version that was read.

A write keeps its document as a new version under a label of our own, and then moves
AWSCURRENT from the version that was read to the new one: the service refuses that where
AWSCURRENT has moved meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from app import aws, errors
from app.access.aws_secrets.document import Document, NotInShape, book_of, document_of, parsed
from app.access.book import Book
from app.access.kept import Edit
from app.access.options import AwsSecretsOptions

LARGEST = 65_536
"""Bytes of a secret."""
LABEL = "PYPICLOUD-WRITTEN"
RACES = 20
"""Writes that are tried while others are faster."""


class Held(NamedTuple):
    """What a version holds; ``version`` None: there is no secret yet."""

    version: str | None
    document: Document
    book: Book


class Absent(Exception):
    """There is no such secret."""


class SecretKeeper:
    """A Keeper over the SDK's ``client``, for the secret ``id``."""

    def __init__(
        self,
        client: Any,
        id: str,
        options: AwsSecretsOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._id, self._options, self._clock = client, id, options, clock
        self._timeout = options.timeout.total_seconds()
        self._held: Held | None = None
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def book(self) -> Book:
        if self._held is not None and self._clock() < self._until:
            return self._held.book
        async with self._reading:
            held = self._held
            if held is None or self._clock() >= self._until:
                held = await self.read()
                self._remember(held)
            return held.book

    async def change(self, edit: Edit) -> None:
        async with self._reading:
            for _ in range(RACES):
                held = await self.read()
                self._remember(held)
                after = edit(held.book)
                if after is held.book:
                    return
                document = document_of(after, held.document)
                version = str(uuid.uuid4())
                if await self._written(held, version, _text(document)):
                    self._remember(Held(version, document, book_of(document)))
                    return
                await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311  # nobody is to guess it
        raise errors.AccessUnavailable("The secret is written all the time by somebody else.")

    async def read(self) -> Held:
        """The secret as it is now."""
        try:
            answer = await self.ask("get_secret_value", SecretId=self._id)
        except Absent:
            if not self._options.create:
                raise SecretMissing(self._id) from None
            return Held(None, {}, Book())
        try:
            document = parsed(answer.get("SecretString") or "{}")
            return Held(answer["VersionId"], document, book_of(document))
        except NotInShape as wrong:
            raise errors.AccessUnavailable(
                f"The secret {self._id!r} is not in shape: {wrong}."
            ) from None

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one operation; Absent, AccessRefused, errors.AccessUnavailable."""
        try:
            async with asyncio.timeout(self._timeout):
                answer: dict[str, Any] = await getattr(self._client, operation)(**parameters)
                return answer
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                raise Absent from None
            raise AccessRefused(error) from None
        except aws.BROKEN as error:
            raise errors.AccessUnavailable(f"Secrets Manager {aws.broken(error)}.") from None

    async def _written(self, held: Held, version: str, text: str) -> bool:
        """Whether it was; not where somebody else wrote meanwhile."""
        if held.version is None:
            return await self._made(version, text)
        try:
            await self.ask(
                "put_secret_value",
                SecretId=self._id,
                ClientRequestToken=version,
                SecretString=text,
                VersionStages=[LABEL],
            )
            await self.ask(
                "update_secret_version_stage",
                SecretId=self._id,
                VersionStage="AWSCURRENT",
                MoveToVersionId=version,
                RemoveFromVersionId=held.version,
            )
        except Absent:
            return False
        except AccessRefused as refused:
            if refused.code != "InvalidParameterException":
                raise
            # An answer that was lost, and asked for again, says so as well.
            return (await self.read()).version == version
        return True

    async def _made(self, version: str, text: str) -> bool:
        more = {} if self._options.kms_key_id is None else {"KmsKeyId": self._options.kms_key_id}
        try:
            await self.ask(
                "create_secret",
                Name=self._id,
                ClientRequestToken=version,
                SecretString=text,
                Description="Users and grants of PyPICloud",
                **more,
            )
        except AccessRefused as refused:
            if refused.code != "ResourceExistsException":
                raise
            return (await self.read()).version == version
        return True

    def _remember(self, held: Held) -> None:
        self._held = held
        self._until = self._clock() + self._options.cache.total_seconds()


class SecretMissing(errors.AccessUnavailable):
    """There is no such secret, and none is to be made."""

    def __init__(self, id: str) -> None:
        super().__init__(f"There is no secret {id!r}.")


class AccessRefused(errors.AccessUnavailable):
    """An answer that is an error."""

    def __init__(self, error: ClientError) -> None:
        self.code = str(error.response.get("Error", {}).get("Code", ""))
        super().__init__(f"Secrets Manager answers {self.code}: {aws.said(error)}".rstrip(": "))


def _text(document: Document) -> str:
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    if len(text.encode()) > LARGEST:
        raise errors.TooLarge(
            f"A secret holds at most {LARGEST // 1024} KiB, and this would be more: "
            "keep users and grants in a database."
        )
    return text
