"""Trusted publishers, each among those of its project, with pointers by id and by issuer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.access.dynamodb.ledger import records
from app.access.dynamodb.ledger.records import HERE, digest
from app.access.dynamodb.ledger.tokens import DynamoDBTokens
from app.access.ledger import Publisher
from app.dynamodb.failures import Refused
from app.dynamodb.keys import BODY, REVISION, SORT, Item, Key, key_of, revision_in
from app.dynamodb.table import Pace, Table

PLACE = "place"
"""The attribute of a pointer: the second key of what it leads to."""
PROJECT = "project"

_read = records.reader(Publisher)


class DynamoDBPublishers:
    """Publishers; ``tokens`` has what was minted for them."""

    def __init__(self, table: Table, tokens: DynamoDBTokens) -> None:
        self._table, self._tokens = table, tokens

    async def add(self, publisher: Publisher) -> None:
        await self._table.write_many(_pointers(publisher))
        whole = records.item(_key(publisher), publisher, rev=records.number(1))
        if not await records.put_new(self._table, whole):
            await self._table.write_many(deletes=_pointer_keys(publisher))
            raise errors.PublisherExists

    async def of(self, project: NormalizedName) -> Sequence[Publisher]:
        return sorted((one for one, _ in await self._of(project)), key=_age)

    async def at(self, issuer: str) -> Sequence[Publisher]:
        led = [
            (one[SORT]["S"], one[PROJECT]["S"], one[PLACE]["S"])
            async for one in records.pointers(self._table, _issuer(issuer))
        ]
        held = await self._table.get_many((_part(project), place) for _, project, place in led)
        found = []
        for id, project, place in led:
            there = held.get((_part(project), place))
            one = _read(there) if there is not None else None
            if one is None or one.id != id:
                # It has moved since, as a project came that it waited for.
                one = await self._within(NormalizedName(project), id)
            if one is not None:
                found.append(one)
        return sorted(found, key=_age)

    async def find(self, id: str) -> Publisher | None:
        pointer = await self._table.get((f"publisher#{id}", HERE))
        if pointer is None:
            return None
        return await self._within(NormalizedName(pointer[PROJECT]["S"]), id)

    async def remove(self, id: str) -> bool:
        removed = False
        publisher = await self.find(id)
        if publisher is not None:
            removed = await records.delete(self._table, _key(publisher))
        # Also where somebody else is removing it, and may not come to the end.
        await self._tokens.revoke_minted(id)
        if publisher is not None:
            await self._table.write_many(deletes=_pointer_keys(publisher))
        return removed

    async def pin(self, id: str, pinned: Mapping[str, str]) -> None:
        pace = Pace(self._table.timeout)
        while True:
            publisher = await self.find(id)
            if publisher is None:
                return
            held = await self._table.get(_key(publisher))
            if held is not None and await records.update(
                self._table,
                _key(publisher),
                f"SET {BODY} = :body, {REVISION} = :next",
                f"{REVISION} = :held",
                body={"B": msgspec.json.encode(replace(publisher, pinned=pinned))},
                next=records.number(revision_in(held) + 1),
                held=records.number(revision_in(held)),
            ):
                return
            if not await pace.pause():
                raise errors.AccessUnavailable("DynamoDB: a publisher is written all the time.")

    async def bind(self, project: NormalizedName, generation: str) -> None:
        pace = Pace(self._table.timeout)
        while True:
            pending = [one for one in await self._of(project) if one[0].generation is None]
            moved = [await self._moved(one, held, generation) for one, held in pending]
            if all(moved):
                return
            if not await pace.pause():
                raise errors.AccessUnavailable("DynamoDB: a publisher is written all the time.")

    async def _moved(self, publisher: Publisher, revision: int, generation: str) -> bool:
        """Give it its generation, unless an equal one has it; False to look again."""
        bound = replace(publisher, generation=generation)
        there = await self._table.get(_key(bound))
        writes: list[tuple[Key, Item | None, int | None]] = [(_key(publisher), None, revision)]
        if there is None:
            whole = records.item(_key(bound), bound, rev=records.number(1))
            writes.append((_key(bound), whole, None))
        try:
            await self._table.transact(writes)
        except Refused as refused:
            if not refused.contended:
                raise
            return False
        if there is None:
            await self._table.write_many(_pointers(bound))
        else:
            await self._table.write_many(deletes=_pointer_keys(publisher))
        return True

    async def _of(self, project: NormalizedName) -> list[tuple[Publisher, int]]:
        return [
            (_read(one), revision_in(one))
            async for one in records.pointers(self._table, _part(project))
        ]

    async def _within(self, project: NormalizedName, id: str) -> Publisher | None:
        every = await self._of(project)
        return next((one for one, _ in every if one.id == id), None)


def _age(publisher: Publisher) -> tuple[object, ...]:
    return publisher.added, publisher.id


def _part(project: str) -> str:
    return f"publishers#{project}"


def _issuer(issuer: str) -> str:
    return f"issuer#{digest(issuer)}"


def _key(publisher: Publisher) -> Key:
    """Where it stands: equal ones stand in one place."""
    told = [
        publisher.generation,
        publisher.provider,
        publisher.issuer,
        dict(publisher.conditions),
    ]
    return _part(publisher.project), digest(json.dumps(told, sort_keys=True))


def _pointer_keys(publisher: Publisher) -> list[Key]:
    return [(f"publisher#{publisher.id}", HERE), (_issuer(publisher.issuer), publisher.id)]


def _pointers(publisher: Publisher) -> list[Item]:
    place = {PLACE: {"S": _key(publisher)[1]}, PROJECT: {"S": publisher.project}}
    return [key_of(key) | place for key in _pointer_keys(publisher)]
