"""Several backends as one: who decides, what adds up, and where edits go."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from passlib import hash as others

from app import errors
from app.access import chain, hashes
from app.access.base import UNBOUND, Access, EditableAccess, Grants, People
from app.access.bootstrap import ensure_admin
from app.access.chain import Chain, EditableChain
from app.access.sql import SqlAccess, connect
from app.models import Identity, Permission
from app.testing.access import HASH, OTHER, PASSWORD, AccessContract
from tests.access.conftest import CHEAP
from tests.access.test_ldap import OPTIONS as DIRECTORY
from tests.access.test_ldap import counting
from tests.access.test_remote import OPTIONS as REMOTE
from tests.servers import acl, ldap

FLASK = NormalizedName("flask")
READ, UPLOAD = Permission.READ, Permission.UPLOAD
ADA = "ada has a passphrase"
FILE = f"""
admins = ["ada"]
[users]
ada = "{HASH}"
eve = {{ password = "{HASH}", disabled = true }}
[groups]
ops = ["ada", "bob"]
[projects.flask]
"group:ops" = "r"
"""


class Down:
    """A backend that cannot be asked."""

    async def identify(self, username: str, password: str) -> Identity | None:
        raise errors.AccessUnavailable("down")

    async def known(self, username: str) -> Identity | None:
        raise errors.AccessUnavailable("down")

    async def memberships(self, username: str) -> frozenset[str]:
        raise errors.AccessUnavailable("down")

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        raise errors.AccessUnavailable("down")

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        raise errors.AccessUnavailable("down")

    async def people(self) -> People:
        raise errors.AccessUnavailable("down")


@pytest.fixture
def urls(tmp_path: Path) -> list[str]:
    """A file that an operator wrote, and a database."""
    (tmp_path / "users.toml").write_text(FILE)
    return [f"config:{tmp_path}/users.toml", f"sqlite+aiosqlite:///{tmp_path}/access.db"]


@pytest.fixture
async def both(urls: list[str]) -> AsyncIterator[EditableChain]:
    """The file first, the database after it."""
    async with chain.connect(urls, lambda _: CHEAP) as access:
        assert isinstance(access, EditableChain)
        yield access


async def test_one_backend_is_itself(urls: list[str]) -> None:
    """Nothing stands before a single backend; of several that are read only, nothing is edited."""
    async with chain.connect(urls[1:], lambda _: CHEAP) as access:
        assert isinstance(access, SqlAccess)
    async with chain.connect([urls[0], urls[0]], lambda _: CHEAP) as access:
        assert isinstance(access, Chain)
        assert not hasattr(access, "add_user")
        assert not hasattr(access, "ledger")


async def test_the_first_that_knows_the_user_decides(
    both: EditableChain, urls: list[str], tmp_path: Path
) -> None:
    """Whoever is refused by the first that knows them finds no weaker one after it."""
    async with connect(urls[1], {**CHEAP, "strangers": True}) as database:
        for name in ("ada", "eve", "bob"):
            await database.add_user(name, PASSWORD)
    ada = await both.identify("ADA", ADA)
    assert ada is not None
    assert ada.admin
    assert await both.identify("ada", PASSWORD) is None
    assert await both.identify("eve", PASSWORD) is None
    assert await both.known("eve") is None
    bob = await both.identify("bob", PASSWORD)
    assert bob is not None
    assert not bob.admin
    assert await both.known("bob") == bob
    assert await both.identify("nobody", PASSWORD) is None
    assert await both.identify("no name", PASSWORD) is None


async def test_groups_and_grants_add_up(both: EditableChain) -> None:
    """Somebody has the groups of every member, and what any of them grants."""
    await both.add_user("bob", PASSWORD)
    await both.add_group("web")
    for name in ("ada", "bob"):
        await both.set_member("web", name, True)
        known = await both.known(name)
        assert known is not None
        assert known.principals == {
            *("authenticated", f"user:{name}", "group:ops", "group:web"),
        }
    await both.grant(FLASK, "g1", "group:ops", frozenset({UPLOAD}))
    await both.grant(FLASK, "g1", "user:ada", frozenset({READ}))
    assert await both.grants(FLASK, "g1") == {
        "group:ops": frozenset({READ, UPLOAD}),
        "user:ada": frozenset({READ}),
    }
    assert await both.grants(FLASK, "g2") == {"group:ops": frozenset({READ})}
    assert set(await both.all_grants()) == {(FLASK, UNBOUND), (FLASK, "g1")}
    assert await both.groups() == {"ops": {"ada", "bob"}, "web": {"ada", "bob"}}
    assert [user.name for user in await both.users()] == ["ada", "bob", "eve"]
    assert {account.name for account in (await both.people()).accounts} == {"ada", "bob", "eve"}
    await both.delete_group("web")
    assert await both.groups() == {"ops": {"ada", "bob"}}


async def test_people_of_those_who_can_list_them(urls: list[str]) -> None:
    """A directory lists nobody: what stands beside it is listed, and where nothing does none is."""
    beside = [ldap.server().url, urls[1]]
    given = {"ldap": DIRECTORY}
    async with chain.connect(beside, lambda url: given.get(url.partition(":")[0], CHEAP)) as access:
        assert isinstance(access, EditableChain)
        await access.add_user("bea", ADA)
        people = await access.people()
        assert [account.name for account in people.accounts] == ["bea"]
        await access.load(people)
    async with chain.connect([beside[0], beside[0]], lambda _: DIRECTORY) as access:
        with pytest.raises(errors.NotEditable):
            await access.people()


async def test_edits_go_to_the_first_that_takes_them(both: EditableChain) -> None:
    """Users of a member that is read only are changed there; no name is given twice."""
    await both.add_user("bob", PASSWORD)
    for name in ("ada", "EVE", "bob"):
        with pytest.raises(errors.UserExists):
            await both.add_user(name, PASSWORD)
    for edit in (
        both.set_password("ada", PASSWORD),
        both.set_admin("ada", False),
        both.set_disabled("ada", True),
        both.approve("ada"),
        both.delete_user("ada"),
        both.delete_group("ops"),
        both.set_member("ops", "bob", False),
    ):
        with pytest.raises(errors.NotEditable, match=r"the file 'users\.toml'"):
            await edit
    await both.set_password("bob", OTHER)
    assert await both.identify("bob", OTHER) is not None
    with pytest.raises(errors.UserNotFound):
        await both.set_password("nobody", PASSWORD)
    await both.add_group("web")
    with pytest.raises(errors.UserNotFound):
        await both.set_member("web", "nobody", True)
    with pytest.raises(errors.UserNotFound):
        await both.grant(FLASK, "g1", "user:nobody", frozenset({READ}))
    with pytest.raises(errors.GroupNotFound):
        await both.grant(FLASK, "g1", "group:nobodies", frozenset({READ}))


async def test_a_member_that_is_down_is_never_passed_over(both: EditableChain) -> None:
    """Who is known before it comes in; of anybody else nothing can be said."""
    await both.add_user("bob", PASSWORD)
    access = Chain([both, Down()])
    bob = await access.identify("bob", PASSWORD)
    assert bob is not None
    assert "group:ops" in bob.principals
    assert await access.known("bob") == bob
    for name in ("nobody", "carol"):
        with pytest.raises(errors.AccessUnavailable):
            await access.identify(name, PASSWORD)
    with pytest.raises(errors.AccessUnavailable):
        await access.grants(FLASK, "g1")
    with pytest.raises(errors.AccessUnavailable):
        await Chain([Down(), both]).identify("bob", PASSWORD)


async def test_where_a_file_names_users_no_admin_is_made(both: EditableChain) -> None:
    """The first admin is made where nobody is known to any member."""
    assert await ensure_admin(both, None) is None
    assert await ensure_admin(both, PASSWORD) is None
    assert await both.identify("admin", PASSWORD) is not None


@pytest.mark.parametrize("order", [1, -1], ids=["file first", "database first"])
async def test_aut_5_in_a_chain_nobody_costs_what_somebody_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """Known to the file by an old hash, to the database, shut out, to none: the same hashing."""
    old = others.sha512_crypt.using(rounds=1000).hash(ADA)
    (tmp_path / "old.ini").write_text(
        f"[app:main]\nuser.ada = {old}\nuser.eve = {old}\nauth.disabled = eve\n"
    )
    urls = [f"config:{tmp_path}/old.ini", f"sqlite+aiosqlite:///{tmp_path}/access.db"]
    verify, computed = hashes.verify, Counter[str | None]()

    def counting(hash: str, password: bytes) -> bool:
        computed[hashes.kind(hash)] += 1
        return verify(hash, password)

    monkeypatch.setattr(hashes, "verify", counting)
    async with chain.connect(urls[::order], lambda _: CHEAP) as both:
        assert isinstance(both, EditableChain)
        await both.add_user("bob", PASSWORD)
        costs = []
        for name in ("ada", "eve", "bob", "nobody", "no name"):
            computed.clear()
            assert await both.identify(name, "another passphrase") is None
            costs.append(dict(computed))
        assert len(costs[0]) == 2
        assert costs == costs[:1] * 5


@pytest.mark.parametrize("order", [1, -1], ids=["database last", "database first"])
async def test_aut_5_a_directory_and_a_server_cost_the_same_whoever_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """Known to the directory, to the access server, to the database, to none: one bind, one
    question, one hash."""
    verify, hashed = hashes.verify, Counter[str]()

    def counting_hashes(hash: str, password: bytes) -> bool:
        hashed["hashes"] += 1
        return verify(hash, password)

    monkeypatch.setattr(hashes, "verify", counting_hashes)
    async with acl.serving() as server:
        server.users["carol"] = (False, [])
        with counting() as (directory, seen):
            database = f"sqlite+aiosqlite:///{tmp_path}/access.db"
            options = {
                directory: {**DIRECTORY, "cache": "1 ms"},
                server.url: REMOTE,
                database: CHEAP,
            }
            urls = [directory, server.url, database][::order]
            async with chain.connect(urls, lambda url: options[url]) as access:
                assert isinstance(access, EditableChain)
                await access.add_user("bob-here", PASSWORD)
                costs = set()
                for name in ("alice", "carol", "bob-here", "nobody"):
                    hashed.clear()
                    seen.clear()
                    server.asked.clear()
                    assert await access.identify(name, "another passphrase") is None
                    proved = sum(one.target.endswith("/verify") for one in server.asked)
                    costs.add((hashed["hashes"], len(seen), proved, len(server.asked)))
    assert costs == {(1, 2, 1, 2)}


class TestChain(AccessContract):
    """A chain with an empty file before a database keeps the contract of the database."""

    @pytest.fixture
    async def access(self, tmp_path: Path) -> AsyncIterator[Access]:
        """Nobody is known."""
        async for opened in self._opened(tmp_path):
            yield opened

    @pytest.fixture
    async def elsewhere(self, tmp_path: Path, access: EditableAccess) -> AsyncIterator[Access]:
        """The same as another process has it."""
        async for opened in self._opened(tmp_path):
            yield opened

    async def _opened(self, folder: Path) -> AsyncIterator[Access]:
        (folder / "nobody.toml").write_text("")
        urls = [f"config:{folder}/nobody.toml", f"sqlite+aiosqlite:///{folder}/access.db"]
        async with chain.connect(urls, lambda _: CHEAP) as opened:
            yield opened
