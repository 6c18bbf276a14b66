"""``remote:URL``: users and grants as a server tells them, by the protocol of PyPICloud 1."""

from app.access.remote.access import RemoteAccess
from app.access.remote.opening import connect

__all__ = ["RemoteAccess", "connect"]
