"""The contracts of app.access.base.

A backend's tests subclass ReadingContract and provide a fixture ``reading``, an Access that holds
READERS. Where it can be edited they subclass AccessContract too, and provide ``access``, with
nobody in it, and ``elsewhere``, a second connection to the same users, as another process has one.
"""

from __future__ import annotations

from app.testing.access.coming import Coming
from app.testing.access.crowds import Crowds
from app.testing.access.grants import Grants
from app.testing.access.groups import Groups
from app.testing.access.hostile import Hostile
from app.testing.access.nouns import (
    CROWD,
    FLASK,
    HASH,
    MANAGE,
    OTHER,
    PASSWORD,
    READ,
    READERS,
    UPLOAD,
    WRONG,
)
from app.testing.access.reading import ReadingContract
from app.testing.access.users import Users

__all__ = [
    "CROWD",
    "FLASK",
    "HASH",
    "MANAGE",
    "OTHER",
    "PASSWORD",
    "READ",
    "READERS",
    "UPLOAD",
    "WRONG",
    "AccessContract",
    "ReadingContract",
]


class AccessContract(Users, Groups, Grants, Coming, Crowds, Hostile):
    """What every editable access backend promises."""
