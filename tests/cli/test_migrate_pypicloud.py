"""``pypicloud migrate pypicloud`` and ``pypicloud copy`` on folders, as real processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ulid import ULID

from tests import clouds
from tests.cli.running import Desk
from tests.e2e.test_adopted import connected
from tests.former import FORMATS, database, ini, password
from tests.pypicloud import TIME, old_sdist, sdist, wheel, write_file, write_object
from tests.servers import s3

pytestmark = pytest.mark.timeout(600)  # many commands, and machines may be busy

HASH = FORMATS["sha512_crypt"].using(rounds=1000).hash(password("alice"))
OLDS = (wheel("demo"), sdist("demo"), old_sdist("Old_Thing", "1.0-dev-r1"))
OPTIONS = {
    "storage.dir": "%(here)s/packages",
    "pypi.auth": "config",
    "auth.admins": "alice",
    "user.alice": HASH,
    "group.devs": "alice",
    "package.demo.group.devs": "rw",
}


STRANGER = "others/demo/demo-9.0-py3-none-any.whl"
"""A key in the same bucket, of somebody else."""
Bucket = tuple[Mapping[str, str], Callable[[], Mapping[str, object]]]
"""What the configuration says of it, and what lies in it."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with a site of PyPICloud's in it."""
    for old in OLDS:
        write_file(tmp_path / "packages", old)
    ini(tmp_path / "production.ini", OPTIONS)
    return Desk(tmp_path)


def listing(folder: Path) -> Mapping[str, str]:
    """The hash of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def migrate(desk: Desk, *options: str) -> str:
    """Migrate, and have nothing left behind."""
    return desk.done("migrate", "pypicloud", "production.ini", *options)


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    """It tells of every option, file and user, and leaves the folder as it was."""
    before = listing(desk.folder)
    printed = migrate(desk, "--dry-run")
    for told in ("storage.dir ", "as storage", "3 would be adopted", "1 users, 1 groups, 1 grants"):
        assert told in printed
    assert "pypi.fallback" in printed  # its default was the public index
    assert HASH not in printed
    assert printed.endswith("Nothing was written; run it without --dry-run.\n")
    assert listing(desk.folder) == before
    assert "auth.ldap.url" in migrate(desk, "--dry-run", "--all")


def test_migrated_in_place_twice(desk: Desk) -> None:
    """Old files stay where they are; the second run finds all done and changes nothing."""
    before = listing(desk.folder / "packages")
    printed = migrate(desk)
    assert "Settings: written: pypicloud.toml" in printed
    assert "Files: 3 adopted." in printed
    assert "3 files of 2 projects" in printed
    after = listing(desk.folder)
    assert {f"packages/{name}": hash for name, hash in before.items()}.items() <= after.items()
    again = migrate(desk)
    assert again.endswith("Nothing was changed: it was migrated before.\n")
    unchanged = ("pypicloud.toml", *(name for name in after if name.startswith("packages/")))
    now = listing(desk.folder)
    assert {name: now[name] for name in unchanged} == {name: after[name] for name in unchanged}
    desk = desk.having(PYPICLOUD_CONFIG="pypicloud.toml")
    assert desk.done("user", "list") == "alice  admin\n"
    assert desk.done("grant", "list", "demo") == "group:devs  read, upload\n"


def test_settings_that_somebody_changed_are_kept(desk: Desk) -> None:
    """What was edited since is not written over; the run goes by it, and says so."""
    migrate(desk)
    settings = desk.folder / "pypicloud.toml"
    settings.write_text(settings.read_text() + "\n[limits]\nlogins = 5\n")
    edited = settings.read_text()
    assert "kept, though other ones would be written now" in migrate(desk)
    assert settings.read_text() == edited


def test_copied_into_another_folder(desk: Desk) -> None:
    """The old folder stays as it was, to the byte; the new one has files, times and facts."""
    before = listing(desk.folder / "packages")
    printed = migrate(desk, "--copy-to", f"file:{desk.folder}/new")
    assert "Copied: 6 copied." in printed  # three files, and what stood beside each
    assert "Files: 3 adopted." in printed
    assert listing(desk.folder / "packages") == before
    desk = desk.having(PYPICLOUD_CONFIG="pypicloud.toml")
    shown = desk.json("check", "--deep")
    assert (shown["files"], shown["findings"]) == (3, [])
    events = list((desk.folder / "new" / "journal" / "demo").glob("*/0000000001.json"))
    assert all(
        TIME.isoformat()[:19] in event.read_text() for event in events if "demo-1" in str(event)
    )
    again = migrate(desk, "--copy-to", f"file:{desk.folder}/new")
    assert "Copied: 6 there." in again
    assert again.endswith("Nothing was changed: it was migrated before.\n")


def in_s3(prefix: str) -> Bucket:
    """A bucket of SeaweedFS."""

    def objects() -> Mapping[str, object]:
        with connected() as client:
            found = client.list_objects_v2(Bucket=s3.BUCKET, Prefix=prefix)["Contents"]
        return {each["Key"]: each["ETag"] for each in found}

    with connected() as client:
        for old in OLDS:
            write_object(client, s3.BUCKET, f"{prefix}{old.key()}", old)
        write_object(client, s3.BUCKET, f"{prefix.rpartition('/')[0]}/{STRANGER}", OLDS[0])
    return clouds.s3_options(prefix), objects


def in_google(prefix: str) -> Bucket:
    """A bucket of Google Cloud Storage."""
    for old in OLDS:
        clouds.write_google(prefix, old.key(), old)
    clouds.write_google(f"{prefix.rpartition('/')[0]}/", STRANGER, OLDS[0])
    return clouds.google_options(prefix), lambda: clouds.google_objects(prefix)


def in_azure(prefix: str) -> Bucket:
    """A container of Azure."""
    for old in OLDS:
        clouds.write_blob(prefix, old.key("plain"), old)
    clouds.write_blob(f"{prefix.rpartition('/')[0]}/", STRANGER, OLDS[0])
    return clouds.azure_options(prefix), lambda: clouds.blobs(prefix)


@pytest.mark.parametrize("fill", [in_s3, in_google, in_azure])
def test_copied_out_of_a_bucket(desk: Desk, fill: Callable[[str], Bucket]) -> None:
    """A bucket becomes a folder; what was recorded of a file in the bucket comes along.

    What lies beside the files, below another prefix, does not.
    """
    options, objects = fill(f"{ULID()}/wheels-")
    before = objects()
    ini(desk.folder / "production.ini", {**OPTIONS, **options})
    printed = migrate(desk, "--copy-to", f"file:{desk.folder}/new")
    assert "Files: 3 adopted." in printed
    (record,) = (desk.folder / "new" / "journal" / "demo").glob("*.whl/0000000001.json")
    assert '"id":"alice"' in record.read_text().replace(" ", "")
    assert objects() == before
    assert not (desk.folder / "new" / STRANGER).exists()
    assert len(before) == len(OLDS)


def test_what_cannot_come_along(desk: Desk) -> None:
    """Odd users, groups and permissions are named, each in a line; the rest comes."""
    database(
        desk.folder / "users.sqlite",
        users={"alice": HASH, "ALICE": HASH, "a b": HASH, "bob": "$1$md5$", "eve": HASH},
        pending=["eve"],
        groups={"devs": ["alice"], "everyone": []},
        user_permissions=[("Demo", "alice", True, False), ("demo", "gone", True, True)],
        group_permissions=[("demo", "authenticated", True, False)],
        registration=True,
    )
    options = {**OPTIONS, "pypi.auth": "sql", "auth.db.url": "sqlite:///users.sqlite"}
    ini(desk.folder / "production.ini", options)
    told = desk.json("migrate", "pypicloud", "production.ini", code=1)
    assert sorted(told["left"]) == [
        "a permission of user 'gone' on 'demo': who is gone",
        "group 'everyone': no group can be called so here",
        "note: permissions on 'Demo' now hold for 'demo'",
        "the password of user 'bob': its hash is of no known format",
        "user 'ALICE': upper and lower case are the same here",
        "user 'a b': no user can be called so here",
    ]
    desk = desk.having(PYPICLOUD_CONFIG="pypicloud.toml")
    people = {one["name"]: one for one in desk.json("user", "list")}
    assert people.keys() == {"alice", "bob", "eve"}
    assert people["eve"]["pending"] is True
    assert desk.done("access", "registration") == "Registration is open.\n"


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        (("no.ini",), {}, "Error: no.ini cannot be read"),
        (("production.ini",), {"storage.dir": ""}, "Error: production.ini: storage.dir is not set"),
        (
            ("production.ini",),
            {"pypi.auth": "sql", "auth.db.url": "sqlite:///none.sqlite"},
            "Error: auth.db.url: the users in ",
        ),
        (
            ("production.ini", "--copy-to", "nowhere:x"),
            {},
            "Error: No storage for the URL scheme",
        ),
        (
            ("production.ini", "--upstream", "ftp://x"),
            {},
            "Error: What production.ini says cannot be: ",
        ),
        (("production.ini", "-o", "/dev/null/x"), {}, "Error: /dev/null/x cannot be written"),
    ],
)
def test_errors_are_one_line(
    desk: Desk, arguments: tuple[str, ...], options: Mapping[str, str], line: str
) -> None:
    """What cannot be is said in one line, which names it."""
    ini(desk.folder / "production.ini", {**OPTIONS, **options})
    said = desk.refused("migrate", "pypicloud", *arguments)
    assert said.startswith(line)
    assert not (desk.folder / "none.sqlite").exists()


def test_no_configuration(desk: Desk) -> None:
    """A file that is none of PyPICloud's is refused, with its line where it has one."""
    (desk.folder / "production.ini").write_text("[server:main]\nhost = x\n")
    assert "has no section [app:main]" in desk.refused("migrate", "pypicloud", "production.ini")
    (desk.folder / "production.ini").write_text("[app:main]\nhost\n")
    assert "production.ini, line 2: " in desk.refused("migrate", "pypicloud", "production.ini")


def test_copy_between_storages(desk: Desk) -> None:
    """All keys come, verified; again nothing is copied; what came since is, and damage is told."""
    migrate(desk)
    desk = desk.having(PYPICLOUD_CONFIG="pypicloud.toml")
    old, new = f"file:{desk.folder}/packages", f"file:{desk.folder}/copy"
    counts = desk.json("copy", old, new)
    assert counts["copied"] > len(OLDS)
    assert (counts["there"], counts["wrong"]) == (0, [])
    lasting = ("blobs/", "adopted/", "journal/", "demo/", "old-thing/")
    kept = listing(desk.folder / "packages")
    copied = listing(desk.folder / "copy")
    assert {name for name in kept if name.startswith(lasting)} <= copied.keys()
    assert all(kept[name] == hash for name, hash in copied.items())
    again = desk.json("copy", old, new, "--deep")
    assert (again["copied"] - sum(name.startswith("snapshots/") for name in copied)) == 0
    moved = desk.having(PYPICLOUD_STORAGE=new, PYPICLOUD_CACHE="sqlite+aiosqlite:///new.db")
    moved.done("reindex")
    assert moved.json("check", "--deep")["files"] == len(OLDS)
    blob = desk.folder / "packages" / "demo" / "1.0" / OLDS[0].made.filename
    blob.write_bytes(b"rotten" * 100)
    damaged = desk.json("copy", old, f"file:{desk.folder}/third", code=1)
    (wrong,) = damaged["wrong"]
    assert wrong["state"] == "damaged"
    assert OLDS[0].made.filename in wrong["key"]
    assert not (desk.folder / "third" / wrong["key"]).exists()
    assert desk.refused("copy", old, old).startswith("Error: FROM and TO are the same")
