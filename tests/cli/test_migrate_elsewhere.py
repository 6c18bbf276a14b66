"""``pypicloud migrate folder|pypiserver|simple|devpi``, as real processes, from real servers."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import PYPICLOUD, Desk
from tests.factories import Made, make_sdist, make_wheel
from tests.former import FORMATS
from tests.routes.site import ADMIN, Site, site

pytestmark = pytest.mark.timeout(600)  # many commands, and machines may be busy

MADE = (
    make_wheel("demo", "1.0"),
    make_sdist("demo", "1.0"),
    make_wheel("demo", "2.0"),
    make_wheel("Other.Thing", "0.5"),
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A new index, all in one folder."""
    here = tmp_path / "here"
    here.mkdir()
    return Desk(
        here,
        {
            "PYPICLOUD_STORAGE": f"file:{here}/packages",
            "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{here}/cache.db",
            "PYPICLOUD_ACCESS": f"sqlite+aiosqlite:///{here}/access.db",
            "PYPICLOUD_SPOOL": f"{here}/spool",
        },
    )


def outcomes(
    desk: Desk, *arguments: str, code: int = 0
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What a run says of each file, by filename, and in the end."""
    ran = desk.run("migrate", *arguments, "--json")
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    *lines, last = (json.loads(line) for line in ran.stdout.splitlines())
    return {line["filename"] or line["where"]: line for line in lines}, last


def put(folder: Path, made: Made) -> Path:
    """Lay a distribution into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / made.filename
    path.write_bytes(made.content)
    return path


def holds(desk: Desk, *made: Made) -> None:
    """The index has these files and no others, and every byte is right."""
    checked = desk.json("check", "--deep")
    assert (checked["files"], checked["findings"]) == (len(made), [])
    events = [
        json.loads(path.read_text())
        for path in (desk.folder / "packages" / "journal").glob("*/*/0000000001.json")
        if path.parent.name != "@project"
    ]
    found = {each["filename"]: each["publication"]["hashes"]["sha256"] for each in events}
    assert found == {each.filename: each.sha256 for each in made}


def test_a_folder(desk: Desk, tmp_path: Path) -> None:
    """Every distribution at any depth comes, once; what is none is named; again all is there."""
    source = tmp_path / "dist"
    for number, made in enumerate(MADE):
        put(source / str(number) / "x", made)
    (source / "demo-1.0.egg").write_bytes(b"egg")
    (source / "broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    (source / "README.txt").write_text("nothing of ours")
    lines, last = outcomes(desk, "folder", str(source), "--dry-run", code=1)
    assert last == {"dry_run": True, "taken": 0, "wanted": 5, "there": 0, "left": 1}
    assert not (desk.folder / "packages" / "blobs").exists()
    lines, last = outcomes(desk, "folder", str(source), code=1)
    assert last == {"dry_run": False, "taken": 4, "wanted": 0, "there": 0, "left": 2}
    assert "an egg" in lines["demo-1.0.egg"]["reason"]
    assert lines["broken-1.0-py3-none-any.whl"]["state"] == "left"
    holds(desk, *MADE)
    _, last = outcomes(desk, "folder", str(source), code=1)
    assert (last["taken"], last["there"]) == (0, 4)
    put(source, MADE[0]._replace(content=MADE[1].content))
    lines, _ = outcomes(desk, "folder", str(source), code=1)
    assert list((desk.folder / "spool").iterdir()) == []
    (entry,) = desk.done("audit", "list", "--action", "migrate").splitlines()
    assert "  operator:" in entry


def test_other_bytes_of_one_name(desk: Desk, tmp_path: Path) -> None:
    """Of two files with one name the first stays, and the other is named."""
    put(tmp_path / "dist" / "a", MADE[0])
    put(tmp_path / "dist" / "b", make_wheel("demo", "1.0", summary="another"))
    outcomes(desk, "folder", str(tmp_path / "dist" / "a"))
    lines, last = outcomes(desk, "folder", str(tmp_path / "dist" / "b"), code=1)
    assert lines[MADE[0].filename]["reason"] == "its filename is taken by other bytes here"
    assert last["left"] == 1
    holds(desk, MADE[0])


def test_a_pypiserver(desk: Desk, tmp_path: Path) -> None:
    """Packages come as from any folder; users whose hashes can be verified come with them."""
    put(tmp_path / "packages", MADE[0])
    users = tmp_path / "htpasswd"
    hash = FORMATS["bcrypt"].hash("ada pass").replace("$2b$", "$2y$")
    users.write_text(f"# users\nada:{hash}\neve:$apr1$x$y\nbob:{{SHA}}x\n")
    ran = desk.run("migrate", "pypiserver", str(tmp_path / "packages"), "--htpasswd", str(users))
    assert ran.returncode == 0, ran.stderr
    assert "left behind: user 'eve': the hash of the password is of no known format" in ran.stdout
    assert "1 users; 1 changes." in ran.stdout
    assert desk.done("user", "list") == "ada\n"
    holds(desk, MADE[0])
    again = desk.run("migrate", "pypiserver", str(tmp_path / "packages"), "--htpasswd", str(users))
    assert "1 users; 0 changes." in again.stdout
    assert again.stdout.endswith("1 there already.\n")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running index with some files, one release of which is yanked."""
    with site(tmp_path_factory.mktemp("source")) as running:
        for made in MADE:
            name, version = made.filename.split("-")[:2]
            version = version.removesuffix(".tar.gz")
            answer = running.upload(made, name, version=version, auth=ADMIN)
            assert answer.status_code == 200, answer.text
        path = "/api/v1/projects/demo/releases/2.0"
        running.ask("PATCH", path, auth=ADMIN, json={"yanked": "too new"}).raise_for_status()
        yield running


def test_any_simple_index(desk: Desk, source: Site) -> None:
    """All projects come, with their hashes and yanks; credentials are asked for and never shown."""
    url = f"{source.url}/simple/"
    for nobody in (desk, desk.having(MIGRATE_TOKEN="not one of theirs")):
        line = nobody.refused("migrate", "simple", url, code=1)
        assert "is answered 401: give --username and MIGRATE_PASSWORD, or MIGRATE_TOKEN" in line
    desk = desk.having(MIGRATE_PASSWORD=ADMIN[1])
    _, last = outcomes(desk, "simple", url, "--username", ADMIN[0])
    assert last == {"dry_run": False, "taken": 4, "wanted": 0, "there": 0, "left": 0}
    holds(desk, *MADE)
    event = desk.folder / "packages" / "journal" / "demo" / MADE[2].filename / "0000000002.json"
    assert "too new" in event.read_text()
    _, last = outcomes(desk, "simple", url, "--username", ADMIN[0])
    assert (last["taken"], last["there"]) == (0, 4)
    refused = desk.refused(
        "migrate", "simple", url.replace("://", "://admin:wrong%20pass@"), code=1
    )
    assert "wrong" not in refused


def test_some_projects(desk: Desk, source: Site) -> None:
    """Names and patterns choose; a name that is not there is named."""
    url = f"{source.url}/simple/"
    who = ("--username", ADMIN[0])
    desk = desk.having(MIGRATE_PASSWORD=ADMIN[1])
    _, last = outcomes(desk, "simple", url, "--project", "other*", *who)
    assert last["taken"] == 1
    lines, last = outcomes(
        desk, "simple", url, "--project", "Demo", "--project", "nothing", *who, code=1
    )
    assert (last["taken"], last["left"]) == (3, 1)
    assert lines["nothing"]["reason"].endswith("is not there.")


def test_a_run_that_was_killed_goes_on(desk: Desk, tmp_path: Path) -> None:
    """Killed anywhere, it left nothing half done: the next run takes in the rest."""
    made = [make_wheel(f"p{n % 4}", f"1.{n}") for n in range(40)]
    for each in made:
        put(tmp_path / "dist", each)
    for limit in (1, 9):
        with subprocess.Popen(
            [PYPICLOUD, "migrate", "folder", str(tmp_path / "dist"), "--json"],
            cwd=desk.folder,
            env=desk.environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for _ in range(limit):
                process.stdout.readline()
            process.kill()
    _, last = outcomes(desk, "folder", str(tmp_path / "dist"))
    assert (last["left"], last["taken"] + last["there"]) == (0, 40)
    holds(desk, *made)


def devpi_export(folder: Path) -> Path:
    """What ``devpi-export`` of version 6 writes, of an index and of a mirror."""
    files: list[dict[str, Any]] = []
    for made in MADE:
        name, version = made.filename.split("-")[:2]
        version = version.removesuffix(".tar.gz")
        path = put(folder / "root" / "dev" / name / version, made)
        hashes = {"sha256": made.sha256, "md5": hashlib.md5(made.content).hexdigest()}
        files.append(
            {
                "type": "releasefile",
                "projectname": name,
                "version": version,
                "relpath": str(path.relative_to(folder)),
                "entrymapping": {"hash_spec": f"sha256={made.sha256}", "hashes": hashes},
                "log": [{"what": "upload", "who": "root", "when": [2020, 1, 1, 0, 0, 0]}],
            }
        )
    lost: dict[str, Any] = {
        "type": "releasefile",
        "projectname": "gone",
        "version": "1.0",
        "entrymapping": {},
    }
    files.append(lost | {"relpath": "root/dev/gone/1.0/gone-1.0.tar.gz"})
    files.append(lost | {"relpath": "../../outside-1.0.tar.gz"})
    files.append(
        {"type": "doczip", "projectname": "demo", "version": "1.0", "relpath": "x.doc.zip"}
    )
    document = {
        "dumpversion": "2",
        "users": {"root": {"username": "root", "pwhash": "x"}},
        "indexes": {
            "root/dev": {"indexconfig": {"type": "stage"}, "projects": {}, "files": files},
            "root/mirror": {"indexconfig": {"type": "mirror"}, "files": [files[0]]},
        },
    }
    (folder / "dataindex.json").write_text(json.dumps(document))
    return folder


def test_an_export_of_devpi(desk: Desk, tmp_path: Path) -> None:
    """Releases come with their hashes; what the export lacks, or names outside of it, is named."""
    export = devpi_export(tmp_path / "export")
    lines, last = outcomes(desk, "devpi", str(export), code=1)
    assert (last["taken"], last["left"]) == (4, 2)
    assert lines["outside-1.0.tar.gz"]["reason"] == "the export does not have the file"
    holds(desk, *MADE)
    said = desk.refused("migrate", "devpi", str(export), "--index", "root/none")
    assert said == "Error: The export has no index 'root/none'; it has root/dev, root/mirror.\n"


def test_a_running_devpi(desk: Desk, source: Site) -> None:
    """The URL of an index is enough: devpi speaks the Simple API below ``+simple``."""
    said = desk.refused("migrate", "devpi", f"{source.url}/root/dev", code=1)
    assert f"{source.url}/root/dev/+simple/" in said


WRONG: Mapping[str, tuple[str, ...]] = {
    "is no folder": ("folder", "/nowhere"),
    "is no export of devpi": ("devpi", "."),
    "cannot be asked": ("simple", "http://index.example/simple/"),
    "cannot be read": ("pypiserver", ".", "--htpasswd", "nothing"),
}


@pytest.mark.parametrize("line", WRONG)
def test_errors_are_one_line(desk: Desk, line: str) -> None:
    """What cannot be is said in one line."""
    (desk.folder / "dataindex.json").write_text("no json")
    assert line in desk.refused("migrate", *WRONG[line])
