"""API tokens, each at its id, with pointers by owner, publisher, parent and awaited project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.access.dynamodb.ledger import records
from app.access.dynamodb.ledger.records import HERE, NOTED_EVERY, THERE, micros, moment
from app.access.ledger import Token
from app.dynamodb.keys import BODY, REVISION, Item, Key, revision_in
from app.dynamodb.table import Pace, Table

KEPT = timedelta(days=1)
"""How long an expired token is there, so that whoever sends it learns why it is refused."""
USED = "used"
ENDING = "ending"
"""The attribute of a token that is being revoked, with which no other is made any more."""
LIST = "tokens"

_read = records.reader(Token)


class DynamoDBTokens:
    """Tokens."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, token: Token) -> None:
        until = token.expires + KEPT
        await self._table.write_many(
            records.item(pointer, until=until) for pointer in _pointers(token)
        )
        used = {} if token.last_used is None else {USED: records.number(micros(token.last_used))}
        body = replace(token, last_used=None)
        revision = {REVISION: records.number(1)}
        whole = records.item(_key(token.id), body, until=until, **revision, **used)
        if token.parent is None:
            await records.put_new(self._table, whole)
        elif not await records.put_beside(
            self._table, whole, _key(token.parent), f"{THERE} AND attribute_not_exists({ENDING})"
        ):
            await self._table.write_many(deletes=_pointers(token))
            raise errors.TokenNotFound(token.parent)

    async def find(self, id: str) -> Token | None:
        found = await self._table.get(_key(id))
        return None if found is None else _token(found)

    async def of(self, owner: str | None = None) -> Sequence[Token]:
        begins = "" if owner is None else f"{owner}/"
        listed = [one async for one in records.pointers(self._table, LIST, begins=begins)]
        found = await self._found(key.rpartition("/")[2] for key in records.second_keys(listed))
        newest_last = sorted(found, key=lambda token: token.id, reverse=True)
        return sorted(newest_last, key=lambda token: token.created)[::-1]

    async def revoke(self, id: str) -> bool:
        token = await self.find(id)
        return token is not None and await self._drop(token)

    async def revoke_all(self, owner: str) -> int:
        found = await self.of(owner)
        for token in found:
            await self._drop(token)
        return len(found)

    async def revoke_minted(self, publisher: str) -> None:
        """Those that were minted for a publisher."""
        for token in await self._found(await self._listed(f"minted#{publisher}")):
            await self._drop(token)

    async def used(self, id: str, now: datetime) -> None:
        before = now - NOTED_EVERY
        token = await self.find(id)
        if token is None or (token.last_used is not None and token.last_used > before):
            return
        await records.update(
            self._table,
            _key(id),
            f"SET {USED} = :now",
            f"{THERE} AND (attribute_not_exists({USED}) OR {USED} <= :before)",
            now=records.number(micros(now)),
            before=records.number(micros(before)),
        )

    async def bind(self, project: NormalizedName, generation: str) -> None:
        for id in await self._listed(_awaiting(project)):
            if await self._bound(id, project, generation):
                await self._table.write_many(deletes=[(_awaiting(project), id)])

    async def sweep(self, now: datetime) -> int:
        old = records.second_keys(await records.expired(self._table, LIST, now))
        found = await self._found(key.rpartition("/")[2] for key in old)
        for token in found:
            await self._drop(token)
        # Those whose token DynamoDB has removed already.
        await self._table.write_many(deletes=[(LIST, key) for key in old])
        return len(found)

    async def _bound(self, id: str, project: NormalizedName, generation: str) -> bool:
        """Bind one token's scope; False where there is no such token (yet)."""
        pace = Pace(self._table.timeout)
        while True:
            found = await self._table.get(_key(id))
            if found is None:
                return False
            token = _read(found)
            if token.scope.projects.get(project, generation) is not None:
                return True
            projects = {**token.scope.projects, project: generation}
            bound = replace(token, scope=replace(token.scope, projects=projects))
            if await records.update(
                self._table,
                _key(id),
                f"SET {BODY} = :body, {REVISION} = :next",
                f"{REVISION} = :held",
                body={"B": msgspec.json.encode(bound)},
                next=records.number(revision_in(found) + 1),
                held=records.number(revision_in(found)),
            ):
                return True
            if not await pace.pause():
                raise errors.AccessUnavailable("DynamoDB: a token is written all the time.")

    async def _drop(self, token: Token) -> bool:
        """Remove a token, after those that were made with it; whether it was there.

        Where a crash comes between, it is still there to be revoked.
        """
        await records.update(
            self._table, _key(token.id), f"SET {ENDING} = :yes", THERE, yes={"BOOL": True}
        )
        for child in await self._made_with(token):
            await self._drop(child)
        dropped = await records.delete(self._table, _key(token.id))
        await self._table.write_many(deletes=_pointers(token))
        return dropped

    async def _made_with(self, token: Token) -> list[Token]:
        listed = await self._listed(f"made#{token.id}")
        found = {one.id: one for one in await self._found(listed)}
        for id in listed:
            if id not in found:
                # The end of the transaction that put it may not be seen yet.
                settled = await self._table.get_settled(_key(id))
                if settled is not None:
                    found[id] = _token(settled)
        return list(found.values())

    async def _listed(self, part: str) -> list[str]:
        return records.second_keys([one async for one in records.pointers(self._table, part)])

    async def _found(self, ids: Iterable[str]) -> list[Token]:
        found = await self._table.get_many(_key(id) for id in ids)
        return [_token(one) for one in found.values()]


def _token(found: Item) -> Token:
    used = moment(int(found[USED]["N"])) if USED in found else None
    return replace(_read(found), last_used=used)


def _key(id: str) -> Key:
    return f"token#{id}", HERE


def _awaiting(project: str) -> str:
    return f"awaiting#{project}"


def _pointers(token: Token) -> list[Key]:
    found = [(LIST, f"{token.owner or ''}/{token.id}")]
    if token.publisher is not None:
        found.append((f"minted#{token.publisher}", token.id))
    if token.parent is not None:
        found.append((f"made#{token.parent}", token.id))
    awaited = (
        name
        for name, generation in token.scope.projects.items()
        if generation is None and "*" not in name
    )
    return [*found, *((_awaiting(name), token.id) for name in awaited)]
