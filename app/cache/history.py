"""The changes, which belong to all versions of the tables, and how the old ones go."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from app.cache import rows
from app.cache.schema import LAYOUT, history, layouts
from app.models import Change

INSERT = insert(history)

_TOGETHER = 1000
"""Changes that go in one transaction: no other writer is to wait for long."""
_NOBODY = ""
"""The layout of what stands for changes that went."""
_SHOWN_BY_NONE = delete(history).where(
    history.c.serial <= select(func.min(layouts.c.since)).scalar_subquery()
)


def row(change: Change) -> dict[str, object]:
    """One that this version makes."""
    return rows.change_row(change) | {"layout": LAYOUT}


def drop_unshown(connection: Connection) -> None:
    """Remove the changes that no version shows any more."""
    connection.execute(_SHOWN_BY_NONE)


def prune(connection: Connection, below: int, change: Change) -> bool:
    """See Cache.prune, done for every version; True where there is more to do."""
    firsts = _firsts(connection)
    oldest = select(history.c.serial, history.c.layout).where(history.c.serial <= below)
    found = connection.execute(oldest.order_by(history.c.serial).limit(_TOGETHER)).all()
    old = [(serial, layout) for serial, layout in found if serial not in firsts]
    if not old or [layout for _, layout in old] == [_NOBODY]:
        return False
    last = int(old[-1][0])
    missed = _some_missed(connection, last)
    going = delete(history).where(history.c.serial <= last, history.c.serial.not_in(firsts))
    connection.execute(going)
    stands = rows.change_row(replace(change, serial=last))
    stands |= {"layout": _NOBODY, "project": _NOBODY if missed else None}
    connection.execute(INSERT, stands)
    return len(found) == _TOGETHER


def _firsts(connection: Connection) -> list[int]:
    """The first change that each version shows."""
    every = connection.execute(select(layouts.c.since)).scalars().all()
    firsts = (select(func.min(history.c.serial)).where(history.c.serial > since) for since in every)
    found = [connection.execute(first).scalar() for first in firsts]
    return [int(first) for first in found if first is not None]


def _some_missed(connection: Connection, last: int) -> bool:
    """Whether some version lacks what another wrote up to this serial.

    Those that lack nothing of it are noted to be in step so far, for soon nobody can tell.
    """
    some = False
    every = connection.execute(select(layouts.c.layout, layouts.c.caught)).all()
    for layout, caught in every:
        foreign = exists().where(
            history.c.serial > caught,
            history.c.serial <= last,
            history.c.layout != layout,
            history.c.project.is_not(None),
        )
        if connection.execute(select(foreign)).scalar():
            some = True
        elif caught < last:
            mine = update(layouts).where(layouts.c.layout == layout)
            connection.execute(mine.values(caught=last))
    return some
