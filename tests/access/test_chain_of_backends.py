"""A directory for users and a table for grants: what the settings give each, and what comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from packaging.utils import NormalizedName
from pydantic import SecretStr

from app import plugins
from app.access import chain
from app.access.base import Account, EditableAccess, People, editable
from app.access.options import LdapOptions
from app.config import Settings
from app.dynamodb.options import DynamoDBOptions
from app.models import Permission
from tests.servers import dynamodb, ldap
from tests.servers.ldap import PASSWORD, PEOPLE, SERVICE

FLASK = NormalizedName("flask")


@pytest.fixture
async def access(settings: Settings) -> AsyncIterator[EditableAccess]:
    """LDAP before DynamoDB, as a service opens them by its settings."""
    async with dynamodb.place("access") as url:
        chosen = settings.model_copy(
            update={
                "access": f"{ldap.server().url},{url}",
                "dynamodb": DynamoDBOptions.of(dynamodb.server().options),
                "ldap": LdapOptions(
                    bind_dn=SERVICE[0],
                    bind_password=SecretStr(SERVICE[1]),
                    base_dn=PEOPLE,
                    user_filter="(uid={username})",
                    group_attribute="memberOf",
                ),
            }
        )
        async with chain.connect(chosen.access_urls, chosen.access_options) as found:
            yield editable(found)


async def test_users_of_a_directory_have_grants_and_groups_of_a_table(
    access: EditableAccess,
) -> None:
    """Who logs in by the directory is granted to, and put into groups, in the table."""
    await access.add_group("release")
    await access.set_member("release", "alice", True)
    await access.grant(FLASK, "g1", "user:alice", frozenset({Permission.UPLOAD}))
    await access.grant(FLASK, "g1", "group:web-team", frozenset({Permission.READ}))
    alice = await access.identify("alice", PASSWORD)
    assert alice is not None
    assert {"group:web-team", "group:release"} <= alice.principals
    assert await access.grants(FLASK, "g1") == {
        "user:alice": {Permission.UPLOAD},
        "group:web-team": {Permission.READ},
    }


async def test_a_namesake_brings_no_groups(access: EditableAccess) -> None:
    """Groups of a user of the table alone are not those of the directory's user of that name."""
    await access.add_group("release")
    await access.set_member("release", "carol", True)
    carol = await access.known("carol")
    assert carol is not None
    assert "group:release" in carol.principals
    people = People(accounts=(Account(name="carol"),))
    await access.load(people)
    carol = await access.known("carol")
    assert carol is not None
    assert "group:release" not in carol.principals


async def test_each_member_decides_about_its_own_users(access: EditableAccess) -> None:
    """Somebody of the table alone is let in by it; nobody's password counts in the other."""
    await access.add_user("robot", "quite another passphrase")
    assert await access.identify("robot", "quite another passphrase") is not None
    assert await access.identify("robot", PASSWORD) is None
    assert await access.identify("alice", "quite another passphrase") is None
    assert await access.identify("ghost", PASSWORD) is None


@pytest.mark.parametrize(
    "url", ["ldap://x", "ldaps://x", "remote:https://x", "aws-secrets:x", "dynamodb://eu-west-1/x"]
)
def test_each_scheme_has_its_backend_and_its_options(url: str, settings: Settings) -> None:
    """Nothing of the settings is lost on the way, and no backend gets what is not its own."""
    assert callable(plugins.backend("access", url))
    options = settings.access_options(url)
    scheme = url.partition(":")[0]
    if scheme in ("ldap", "ldaps"):
        assert LdapOptions.of(options) == settings.ldap
    assert ("password_min_length" in options) == (scheme in ("aws-secrets", "dynamodb"))
