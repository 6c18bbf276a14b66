"""A PyPICloud 1.3.12, migrated by one command: old passwords, old lock files, old URLs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from ulid import ULID

from tests.canary import require_clean
from tests.e2e.projects import Release
from tests.e2e.sandbox import Sandbox
from tests.e2e.server import PYPICLOUD, Account, Server, free_port, wait_until_ready
from tests.e2e.test_adopted import connected
from tests.e2e.test_poetry import add, as_company, consumer, installed
from tests.former import database, hashes, ini, password
from tests.pypicloud import Old, old_sdist, write_file, write_object
from tests.servers import s3

pytestmark = pytest.mark.e2e

LEAF = Release(name="Old.Leaf", version="2.1")
APP = Release(name="old-app", requires=["old-leaf>=2"])
INSTALLED = {"old-app": "1.0", "old-leaf": "2.1"}
USERS = hashes()
MEMBER, STRANGER = "user-bcrypt", "user-argon2"
GRANTS = {"group:devs": ["read", "upload"], f"user:{MEMBER}": ["read"]}
UPLOADER = "user-sha512-crypt"


def old(release: Release, *, sdist: bool = False) -> Old:
    """A release as it was uploaded years ago."""
    made = release.sdist() if sdist else release.wheel()
    return Old(made=made, name=release.name, version=release.version, uploader=UPLOADER)


GOOD = (
    old(LEAF),
    old(LEAF, sdist=True),
    old(APP),
    old_sdist("old-app", "1.0-dev-r123"),
    old(Release(name="secret-pkg")),
)
ODD = replace(old(Release(name="odd", version="1.0")), more={"hash_sha256": "0" * 64})
"""Its bytes are not those that were recorded."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """A migrated site that serves, what the runs said, and where everything lies."""

    server: Server
    runs: tuple[Mapping[str, Any], ...]
    folder: Path

    def reads(self, project: str, user: str | None = None) -> int:
        """What somebody is answered for a project's page."""
        auth = None if user is None else (user, password(user))
        url = f"{self.server.simple}{project}/"
        return httpx.get(url, auth=auth, trust_env=False, timeout=60).status_code


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with nothing of this machine's settings."""
    return subprocess.run(
        [PYPICLOUD, *arguments],
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def folder_and_sql(folder: Path) -> Path:
    """A site on a folder, whose users stand in a database."""
    for each in (*GOOD, ODD):
        write_file(folder / "packages", each)
    (folder / "packages" / "old-app" / "1.0" / "old_app-1.0-py2.7.egg").write_bytes(b"egg")
    database(
        folder / "users.sqlite",
        users=USERS,
        admins=[UPLOADER],
        groups={"devs": [UPLOADER, "user-pbkdf2-sha256"], "empty": []},
        user_permissions=[("secret-pkg", MEMBER, True, False)],
        group_permissions=[
            ("secret-pkg", "devs", True, True),
            ("old-leaf", "everyone", True, False),
            ("secret-pkg", "gone", True, True),
        ],
    )
    return ini(
        folder / "production.ini",
        {
            "pypi.storage": "file",
            "storage.dir": "%(here)s/packages",
            "pypi.db": "sql",
            "db.url": "sqlite:///%(here)s/db.sqlite",
            "pypi.auth": "sql",
            "auth.db.url": "sqlite:///%(here)s/users.sqlite",
            "pypi.default_read": ["authenticated"],
            "session.secure": "true",
        },
    )


def bucket_and_file(folder: Path) -> Path:
    """A site in a bucket, in both layouts, whose users stand in its configuration."""
    prefix, server = str(ULID()), s3.seaweed()
    with connected() as client:
        for number, each in enumerate((*GOOD, ODD)):
            key = f"{prefix}/{each.key('plain' if number % 2 else 'hashed')}"
            write_object(client, s3.BUCKET, key, each)
        client.put_object(Bucket=s3.BUCKET, Key=f"{prefix}/ab12/old-app/old_app-1.egg", Body=b"e")
    return ini(
        folder / "production.ini",
        {
            "pypi.storage": "s3",
            "storage.bucket": s3.BUCKET,
            "storage.prefix": f"{prefix}/",
            "storage.endpoint_url": server.endpoint_url,
            "storage.region_name": s3.REGION,
            "storage.addressing_style": "path",
            "storage.aws_access_key_id": server.access_key_id,
            "storage.aws_secret_access_key": server.secret_access_key,
            "pypi.auth": "config",
            "auth.admins": [UPLOADER],
            **{f"user.{name}": hash for name, hash in USERS.items()},
            "group.devs": [UPLOADER, "user-pbkdf2-sha256"],
            "package.secret-pkg.group.devs": "rw",
            f"package.secret-pkg.user.{MEMBER}": "r",
            "package.old-leaf.group.everyone": "r",
            "package.odd.user.gone.by": "sideways",
        },
    )


@pytest.fixture(scope="module", params=[folder_and_sql, bucket_and_file], ids=["folder", "s3"])
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Migrated]:
    """Migrated twice by the command, then served by the settings that it wrote."""
    folder = tmp_path_factory.mktemp("migrated")
    file: Path = request.param(folder)
    runs = []
    for _ in range(2):
        ran = command(folder, "migrate", "pypicloud", file.name, "--deep", "--json")
        assert (ran.returncode, ran.stderr) == (1, ""), ran.stdout  # odd files are left
        runs.append(json.loads(ran.stdout))
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}", folder)
    variables = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PYPICLOUD_CONFIG": str(folder / "pypicloud.toml"),
        "PYPICLOUD_PORT": str(port),
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [PYPICLOUD, "serve"], cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(server, process)
        yield Migrated(server, tuple(runs), folder)
    finally:
        process.terminate()
        process.wait(timeout=120)
    assert "Traceback" not in server.log, server.log
    require_clean(server.log, *map(password, USERS))


def test_everything_is_accounted_for(migrated: Migrated) -> None:
    """The run says what came over and what did not; nothing of an option's value is shown."""
    first, _ = migrated.runs
    assert first["files"] == {"adopted": len(GOOD), "left": 2}
    assert first["checked"]["files"] == len(GOOD)
    assert (first["findings"], first["projects"]) == ([], 3)
    assert first["people"]["users"] == len(USERS)
    left = "\n".join(first["left"])
    for odd in ("the sha256 recorded for it is 000", "an egg", "gone"):
        assert odd in left
    assert len(first["left"]) == 3
    for secret in (*USERS.values(), "seaweed-secret"):
        assert secret not in json.dumps(first)
    settings = migrated.folder / "pypicloud.toml"
    assert settings.stat().st_mode & 0o777 == 0o600


def test_a_second_run_changes_nothing(migrated: Migrated) -> None:
    """It says so, and finds everything done."""
    first, second = migrated.runs
    assert (first["unchanged"], second["unchanged"]) == (False, True)
    assert second["files"] == {"known": len(GOOD), "left": 2}
    assert (second["people"]["changed"], second["settings"]["state"]) == ([], "as they were")
    assert second["left"] == first["left"]


def test_counts_and_hashes(migrated: Migrated) -> None:
    """Each project lists the files that it had, with the hashes that they had."""
    admin = (UPLOADER, password(UPLOADER))
    for project in ("old-leaf", "old-app", "secret-pkg"):
        page = httpx.get(
            f"{migrated.server.simple}{project}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            auth=admin,
            trust_env=False,
        )
        found = {file["filename"]: file["hashes"]["sha256"] for file in page.json()["files"]}
        assert found == {
            each.made.filename: each.made.sha256 for each in GOOD if each.project == project
        }
    listed = httpx.get(
        f"{migrated.server.url}/api/package/old-leaf/", auth=admin, trust_env=False
    ).json()["packages"]
    assert {file["metadata"]["uploader"] for file in listed} == {UPLOADER}


@pytest.mark.parametrize("user", USERS)
def test_old_passwords_log_in(migrated: Migrated, user: str) -> None:
    """A hash of each of the six formats goes on to verify, and no other password does."""
    assert migrated.reads("old-app", user) == 200
    assert migrated.reads("old-app") == 401
    url = f"{migrated.server.simple}old-app/"
    wrong = httpx.get(url, auth=(user, password(user) + "!"), trust_env=False)
    assert wrong.status_code == 401


def test_permissions(migrated: Migrated) -> None:
    """Users, groups and everybody may what they might; admins may everything."""
    assert migrated.reads("old-leaf") == 200  # everyone
    assert migrated.reads("secret-pkg") == 401
    assert migrated.reads("secret-pkg", STRANGER) == 403
    for user in (MEMBER, "user-pbkdf2-sha256", UPLOADER):
        assert migrated.reads("secret-pkg", user) == 200
    told = httpx.get(
        f"{migrated.server.url}/api/v1/projects/secret-pkg/grants",
        auth=(UPLOADER, password(UPLOADER)),
        trust_env=False,
    ).json()["grants"]
    assert {line["principal"]: line["permissions"] for line in told} == GRANTS
    secret = GOOD[-1].made.filename
    for project in ("secret-pkg", "old-leaf"):
        url = f"{migrated.server.url}/api/package/{project}/{secret}"
        assert httpx.get(url, trust_env=False).status_code in (401, 404)


def test_pip_with_old_urls(migrated: Migrated, sandbox: Sandbox) -> None:
    """pip installs requirements that pin the old file URLs and hashes."""
    account = Account(MEMBER, password(MEMBER))
    migrated.server.write_netrc(sandbox.home, account)
    lines = [
        f"{each.project} @ {migrated.server.url}/api/package/{each.project}/{each.made.filename}"
        f" --hash=sha256:{each.made.sha256}"
        for each in (GOOD[0], GOOD[2])
    ]
    requirements = sandbox.folder / "requirements.txt"
    requirements.write_text("\n".join(lines))
    venv = sandbox.venv()
    options = ("--no-index", "--require-hashes", "-r", requirements)
    sandbox.must("pip", "--python", venv.python, "install", *options)
    assert venv.installed() == INSTALLED


@pytest.mark.parametrize("index", ["simple", "pypi"])
def test_pip_with_an_old_index_url(migrated: Migrated, sandbox: Sandbox, index: str) -> None:
    """Both URLs that the index had are an index."""
    url = f"{migrated.server.url}/{index}/".replace(
        "://", f"://{Account(MEMBER, password(MEMBER)).userinfo}@"
    )
    venv = sandbox.venv()
    sandbox.must("pip", "--python", venv.python, "install", "--index-url", url, "old-app")
    assert venv.installed() == INSTALLED


LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "consumer"
version = "0"
source = {{ virtual = "." }}
dependencies = [{{ name = "old-app" }}]

[package.metadata]
requires-dist = [{{ name = "old-app" }}]

[[package]]
name = "old-app"
version = "1.0"
source = {{ registry = "{url}/pypi/" }}
dependencies = [{{ name = "old-leaf" }}]
wheels = [
    {{ url = "{url}/api/package/old-app/{app.filename}", hash = "sha256:{app.sha256}" }},
]

[[package]]
name = "old-leaf"
version = "2.1"
source = {{ registry = "{url}/pypi/" }}
wheels = [
    {{ url = "{url}/api/package/old-leaf/{leaf.filename}", hash = "sha256:{leaf.sha256}" }},
]
"""


def test_uv_with_an_old_lock_file(migrated: Migrated, sandbox: Sandbox) -> None:
    """``uv sync --frozen`` installs what a lock file of those days pins."""
    folder = sandbox.folder / "consumer"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "consumer"\nversion = "0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["old-app"]\n'
        '[[tool.uv.index]]\nname = "company"\ndefault = true\n'
        f'url = "{migrated.server.url}/pypi/"\n'
    )
    lock = LOCK.format(url=migrated.server.url, app=GOOD[2].made, leaf=GOOD[0].made)
    (folder / "uv.lock").write_text(lock)
    migrated.server.write_netrc(sandbox.home, Account(MEMBER, password(MEMBER)))
    venv = sandbox.venv(folder / ".venv")
    sandbox.must("uv", "sync", "--frozen", cwd=folder)
    assert venv.installed() == INSTALLED


def test_poetry_with_an_old_source(migrated: Migrated, sandbox: Sandbox) -> None:
    """poetry locks and installs from the old index URL."""
    folder = consumer(sandbox, f"{migrated.server.url}/pypi/")
    account = Account(MEMBER, password(MEMBER))
    added = add(sandbox, folder, "old-app", **as_company(account))
    assert added.status == 0, str(added)
    assert installed(folder) == INSTALLED
