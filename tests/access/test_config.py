"""Users, groups and grants from a file: what it may say, and what becomes of a change."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from passlib import hash as others

from app import errors, plugins
from app.access import config
from app.access.config import ConfigAccess, connect
from app.access.passwords import Passwords
from app.models import Actor, Identity, Permission
from app.testing.access import HASH
from tests.access.conftest import CHEAP

PASSWORD = "ada has a passphrase"
OLD = others.sha512_crypt.using(rounds=1000).hash("bob is here")
READ, UPLOAD, MANAGE = Permission.READ, Permission.UPLOAD, Permission.MANAGE
INI = f"""\
# as PyPICloud 1 wrote it
[app:main]
use = egg:pypicloud
pypi.storage = s3
pypi.default_read = everyone
auth.admins =
    Ada
user.Ada = {HASH}
user.bob: {OLD}
; a comment
group.Web =
    ada
    bob

    carol
package.django-unchained.user.bob = r
package.Django_Unchained.group.web = rw
package.flask.group.everyone = read
package.flask.group.authenticated = read write
package.zope.interface.user.john.doe = w

[server:main]
port = 6543
"""
TOML = f"""\
admins = ["Ada"]

[users]
Ada = "{HASH}"
eve = {{ password = "{HASH}", disabled = true }}
robot = {{}}

[users.bob]
password = "{OLD}"

[groups]
Web = ["ada", "bob", "carol"]

[projects.Django_Unchained]
"user:bob" = "r"
"group:web" = ["read", "upload"]

[projects.flask]
everyone = ["read"]
authenticated = "read write manage"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the users are written."""
    return tmp_path / "users.ini"


@asynccontextmanager
async def reading(file: Path, text: str) -> AsyncIterator[ConfigAccess]:
    """Access over a file with this text."""
    file.write_text(text)
    async with connect(f"config:{file}", CHEAP) as access:
        yield access


@pytest.mark.parametrize(("name", "text"), [("users.ini", INI), ("users.toml", TOML), ("u", TOML)])
async def test_who_is_written_is_known(tmp_path: Path, name: str, text: str) -> None:
    """Names without case, hashes of today and of former times, groups, admins."""
    async with reading(tmp_path / name, text) as access:
        assert await access.identify("ADA", PASSWORD) == Identity(
            actor=Actor(kind="user", id="ada"),
            principals=frozenset({"authenticated", "user:ada", "group:web"}),
            admin=True,
        )
        assert await access.known("ada") == await access.identify("ada", PASSWORD)
        bob = await access.identify("bob", "bob is here")
        assert bob is not None
        assert not bob.admin
        assert await access.identify("bob", PASSWORD) is None
        assert await access.identify("eve", PASSWORD) is None
        assert await access.known("eve") is None
        assert await access.identify("robot", "") is None
        assert await access.identify("nobody", PASSWORD) is None
        assert await access.memberships("Carol") == {"web"}
        assert await access.groups() == {"web": {"ada", "bob", "carol"}}
        assert not hasattr(access, "add_user")


async def test_grants_are_of_the_name_however_it_is_spelled(file: Path) -> None:
    """Spellings of one project's name are one project, and hold for every generation of it."""
    async with reading(file, INI) as access:
        django = {"user:bob": frozenset({READ}), "group:web": frozenset({READ, UPLOAD})}
        for generation in ("g1", "g2", None):
            found = await access.grants(NormalizedName("django-unchained"), generation)
            assert found == django
        assert await access.grants(NormalizedName("flask"), None) == {
            "everyone": frozenset({READ}),
            "authenticated": frozenset({READ, UPLOAD}),
        }
        assert await access.grants(NormalizedName("zope-interface"), "g1") == {
            "user:john.doe": frozenset({UPLOAD})
        }
        assert await access.grants(NormalizedName("other"), "g1") == {}
        assert len(await access.all_grants()) == 3


async def test_settings_in_the_file_are_named(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Defaults that PyPICloud 1 kept there, and weak hashes, cost a line that names the cure."""
    async with reading(file, INI):
        pass
    assert "pypi.default_read is a setting of its own here: PYPICLOUD_DEFAULT_READ" in caplog.text
    assert "hashes of former times ('pypicloud hash-password' makes better ones): bob" in (
        caplog.text
    )
    assert OLD not in caplog.text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[app:main]\n\nuser.a b = x\n", 3),
        (f"user.ada = {HASH}\n\nuser.Ada = {HASH}\n", 3),
        ("user.ada =\n  plain\n", 1),
        ("[app:main]\nno option\n", 2),
        (f"user.ada = {HASH}\ngroup.web = ada, bob\n", 2),
        ("group.everyone = ada\n", 1),
        ("package.flask.user.ada = rx\n", 1),
        ("package.flask.ada = r\n", 1),
        ("package.-.user.ada = r\n", 1),
        (f"user.bob = {HASH}\nauth.admins = eve\n", 2),
    ],
)
async def test_a_mistake_in_ini_is_named_by_its_line(file: Path, text: str, line: int) -> None:
    """What cannot be stops the start, and the one line of it says where."""
    with pytest.raises(errors.Misconfigured, match=rf"users\.ini, line {line}: "):
        async with reading(file, text):
            raise AssertionError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[users]\nada = \n", 2),
        ("[users]\nada = 5\n", 2),
        ('[users]\nada = "plain"\n', 2),
        ('[users]\n"a b" = {}\n', 2),
        ("[users]\nada = {admin = 1}\n", 2),
        ("[users]\nada = {passwort = 1}\n", 2),
        ("[users]\n\n[user]\nada = {}\n", 3),
        ('[groups]\nweb = "ada"\n', 2),
        ('[projects.flask]\n"user:ada" = "x"\n', 2),
        ('[projects.flask]\nada = "r"\n', 2),
        ('[users]\nada = {}\n\n[projects."a b"]\n"user:ada" = "r"\n', 5),
        ('users = "x"\n', 1),
        ('\nadmins = ["eve"]\n', 2),
    ],
)
async def test_a_mistake_in_toml_is_named_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    """The same for TOML."""
    with pytest.raises(errors.Misconfigured, match=rf"users\.toml, line {line}: "):
        async with reading(tmp_path / "users.toml", text):
            raise AssertionError


async def test_a_file_that_is_not_there_is_one_clear_line(file: Path) -> None:
    """Without the file, or where it is no text, nothing starts."""
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        async with connect(f"config:{file}", CHEAP):
            raise AssertionError
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        async with connect(f"config:{file}", CHEAP):
            raise AssertionError


async def test_a_change_holds_within_a_second(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who is taken out is nobody without a restart; a broken edit is logged and changes nothing."""
    now = [0.0]
    passwords = Passwords(memory=64, passes=1)
    file.write_text(INI)
    access = ConfigAccess(file, passwords, clock=lambda: now[0])
    await access.read()
    assert await access.identify("ada", PASSWORD) is not None
    file.write_text(INI.replace("user.Ada", "user.Zoe").replace("    Ada\n", "    zoe\n"))
    assert await access.identify("ada", PASSWORD) is not None  # not looked at yet
    now[0] += config.INTERVAL
    assert await access.identify("ada", PASSWORD) is None
    assert await access.identify("zoe", PASSWORD) is not None
    for broken in ("user.x = y\n", None):
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        for _ in range(3):
            now[0] += config.INTERVAL
            assert await access.identify("zoe", PASSWORD) is not None
    kept = [record for record in caplog.records if "stay as they were" in record.message]
    assert len(kept) == 2
    assert "line 1" in kept[0].message
    file.write_text(INI)
    now[0] += config.INTERVAL
    assert await access.identify("ada", PASSWORD) is not None
    assert await access.identify("zoe", PASSWORD) is None
    await passwords.close()


async def test_an_edit_of_the_same_length_is_seen(file: Path) -> None:
    """A file that was replaced is read anew, though its length and time are the old ones."""
    now = [0.0]
    passwords = Passwords(memory=64, passes=1)
    file.write_text(INI)
    access = ConfigAccess(file, passwords, clock=lambda: now[0])
    await access.read()
    before = file.stat()
    other = file.with_suffix(".new")
    other.write_text(INI.replace("user.bob", "user.rob"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    now[0] += config.INTERVAL
    assert await access.user("bob") is None
    assert await access.user("rob") is not None
    await passwords.close()


async def test_aut_5_nobody_costs_what_somebody_in_the_file_costs(file: Path) -> None:
    """Wrong, disabled, unknown: one computation each, of every make in the file."""
    passwords = Passwords(memory=64, passes=1)
    file.write_text(INI)
    access = ConfigAccess(file, passwords)
    await access.read()
    for name in ("ada", "bob", "carol", "no name"):
        before = passwords.computed
        assert await access.identify(name, "another passphrase") is None
        assert passwords.computed - before == 1
    await passwords.close()


def test_the_scheme_opens_it() -> None:
    """The URL's scheme leads here."""
    assert plugins.backend("access", "config:users.toml") is connect
