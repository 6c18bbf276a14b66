"""``ldap://HOST`` and ``ldaps://HOST``: users and groups of a directory."""

from app.access.ldap.access import LdapAccess
from app.access.ldap.opening import connect

__all__ = ["LdapAccess", "connect"]
