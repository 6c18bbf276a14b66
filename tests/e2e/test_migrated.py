"""A PyPICloud 1.3.12, migrated by one command: old passwords, old lock files, old URLs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.canary import require_clean
from tests.e2e.former_sites import GOOD, SITES, UPLOADER, USERS, Former
from tests.e2e.sandbox import Sandbox
from tests.e2e.server import PYPICLOUD, Account, Server, free_port, wait_until_ready
from tests.e2e.test_poetry import add, as_company, consumer, installed

pytestmark = pytest.mark.e2e

INSTALLED = {"old-app": "1.0", "old-leaf": "2.1"}


@dataclass(frozen=True, slots=True)
class Migrated:
    """A migrated site that serves, what the runs said, and where everything lies.

    ``before`` is what the old site kept, before anything was done.
    """

    site: Former
    server: Server
    runs: tuple[Mapping[str, Any], ...]
    folder: Path
    before: Mapping[str, Any]

    def account(self, user: str) -> Account:
        """Somebody, with the password of old."""
        return Account(user, self.site.people[user])

    @property
    def admin(self) -> tuple[str, str]:
        """Whom httpx asks as."""
        return self.site.admin, self.site.people[self.site.admin]

    def reads(self, project: str, user: str | None = None, password: str | None = None) -> int:
        """What somebody is answered for a project's page."""
        auth = None if user is None else (user, password or self.site.people[user])
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


@pytest.fixture(scope="module", params=SITES)
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Migrated]:
    """Migrated twice by the command, then served by the settings that it wrote."""
    folder = tmp_path_factory.mktemp("migrated")
    site = SITES[request.param](folder)
    with site.ends:
        yield from served(folder, site)


def served(folder: Path, site: Former) -> Iterator[Migrated]:
    """The same, for a site that was built."""
    before = site.kept()
    runs = []
    words = ("migrate", "pypicloud", site.file.name, "--deep", "--json", *site.arguments)
    for _ in range(2):
        ran = command(folder, *words, **site.variables)
        assert (ran.returncode, ran.stderr) == (1, ""), ran.stdout  # odd files are left
        runs.append(json.loads(ran.stdout))
    port = free_port()
    # Of another name than the stores: netrc knows no ports, and they want no password.
    server = Server(f"http://localhost:{port}", folder)
    variables = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PYPICLOUD_CONFIG": str(folder / "pypicloud.toml"),
        "PYPICLOUD_PORT": str(port),
        **site.variables,
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [PYPICLOUD, "serve"], cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(server, process)
        yield Migrated(site, server, tuple(runs), folder, before)
    finally:
        process.terminate()
        process.wait(timeout=120)
    assert "Traceback" not in server.log, server.log
    require_clean(server.log, *site.people.values(), *site.secrets)


def test_everything_is_accounted_for(migrated: Migrated) -> None:
    """The run says what came over and what did not; nothing of an option's value is shown."""
    first, _ = migrated.runs
    assert first["files"] == {"adopted": len(GOOD), "left": 2}
    assert first["checked"]["files"] == len(GOOD)
    assert (first["findings"], first["projects"]) == ([], 3)
    assert first["people"]["users"] == migrated.site.imported
    left = "\n".join(first["left"])
    for odd in migrated.site.left:
        assert odd in left
    assert len(first["left"]) == len(migrated.site.left)
    for secret in (*USERS.values(), *migrated.site.secrets):
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


def test_what_was_there_stays_as_it_was(migrated: Migrated) -> None:
    """Old files, their metadata, the old cache, and people who live elsewhere."""
    now = migrated.site.kept()
    assert {name: now.get(name) for name in migrated.before} == migrated.before


def test_counts_and_hashes(migrated: Migrated) -> None:
    """Each project lists the files that it had, with the hashes that they had."""
    for project in ("old-leaf", "old-app", "secret-pkg"):
        page = httpx.get(
            f"{migrated.server.simple}{project}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            auth=migrated.admin,
            trust_env=False,
        )
        found = {file["filename"]: file["hashes"]["sha256"] for file in page.json()["files"]}
        assert found == {
            each.made.filename: each.made.sha256 for each in GOOD if each.project == project
        }
    listed = httpx.get(
        f"{migrated.server.url}/api/package/old-leaf/", auth=migrated.admin, trust_env=False
    ).json()["packages"]
    assert {file["metadata"]["uploader"] for file in listed} == {UPLOADER}


def test_old_passwords_log_in(migrated: Migrated) -> None:
    """Everybody gets in as before (hashes of all six formats verify), by no other password."""
    assert migrated.reads("old-app") == 401
    for user, password in migrated.site.people.items():
        assert migrated.reads("old-app", user) == 200, user
        assert migrated.reads("old-app", user, password + "!") == 401, user


def test_who_could_not_log_in_cannot_now(migrated: Migrated) -> None:
    """Users that the old site had written down and passed over do not come to life."""
    for user, password in migrated.site.nobody.items():
        assert migrated.reads("old-leaf") == 200  # for everyone
        assert migrated.reads("old-leaf", user, password) == 401


def test_permissions(migrated: Migrated) -> None:
    """Users, groups and everybody may what they might; admins may everything."""
    assert migrated.reads("old-leaf") == 200  # everyone
    assert migrated.reads("secret-pkg") == 401
    assert migrated.reads("secret-pkg", migrated.site.stranger) == 403
    for user in (migrated.site.member, migrated.site.mate, migrated.site.admin):
        assert migrated.reads("secret-pkg", user) == 200
    told = httpx.get(
        f"{migrated.server.url}/api/v1/projects/secret-pkg/grants",
        auth=migrated.admin,
        trust_env=False,
    ).json()["grants"]
    assert {line["principal"]: line["permissions"] for line in told} == {
        "group:devs": ["read", "upload"],
        f"user:{migrated.site.member}": ["read"],
    }
    secret = GOOD[-1].made.filename
    for project in ("secret-pkg", "old-leaf"):
        url = f"{migrated.server.url}/api/package/{project}/{secret}"
        assert httpx.get(url, trust_env=False).status_code in (401, 404)


def test_pip_with_old_urls(migrated: Migrated, sandbox: Sandbox) -> None:
    """pip installs requirements that pin the old file URLs and hashes."""
    account = migrated.account(migrated.site.member)
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
        "://", f"://{migrated.account(migrated.site.member).userinfo}@"
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
    migrated.server.write_netrc(sandbox.home, migrated.account(migrated.site.member))
    venv = sandbox.venv(folder / ".venv")
    sandbox.must("uv", "sync", "--frozen", cwd=folder)
    assert venv.installed() == INSTALLED


def test_poetry_with_an_old_source(migrated: Migrated, sandbox: Sandbox) -> None:
    """poetry locks and installs from the old index URL."""
    folder = consumer(sandbox, f"{migrated.server.url}/pypi/")
    account = migrated.account(migrated.site.member)
    added = add(sandbox, folder, "old-app", **as_company(account))
    assert added.status == 0, str(added)
    assert installed(folder) == INSTALLED
