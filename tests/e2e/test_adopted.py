"""Real clients install what PyPICloud left, adopted beside the running service."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from ulid import ULID

from tests.e2e.projects import Release
from tests.e2e.sandbox import Sandbox
from tests.e2e.server import PYPICLOUD, UPLOADER, Server, serve
from tests.e2e.uploaders import twine
from tests.pypicloud import Old, old_sdist, write_file, write_object
from tests.servers import s3

pytestmark = pytest.mark.e2e

LEAF = Release(name="Adopted.Leaf", version="2.1")
APP = Release(name="adopted-app", requires=["adopted-leaf>=2"], requires_python=">=3.8")
INSTALLED = {"adopted-app": "1.0", "adopted-leaf": "2.1"}


def old(release: Release, *, sdist: bool = False) -> Old:
    """A release as it was uploaded years ago."""
    made = release.sdist() if sdist else release.wheel()
    return Old(made=made, name=release.name, version=release.version)


OLDS = (
    old(LEAF),
    old(LEAF, sdist=True),
    old(APP),
    old_sdist("adopted-app", "1.0-dev-r123"),
    old_sdist("adopted-app", "0.9-latest"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """A running service whose storage holds what PyPICloud left."""

    server: Server
    variables: Mapping[str, str]

    def adopt(self, *options: str) -> Sequence[str]:
        """Run ``pypicloud adopt`` beside the service; the lines that it prints."""
        folder = self.server.folder
        ran = subprocess.run(
            [PYPICLOUD, "adopt", *options],
            cwd=folder,
            env={
                "PATH": os.defpath,
                "HOME": str(folder),
                "PYPICLOUD_STORAGE": f"file:{folder / 'packages'}",
                "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{folder / 'cache.db'}",
                "PYPICLOUD_SPOOL": str(folder / "spool"),
                **self.variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), (ran.stdout, ran.stderr)
        return ran.stdout.splitlines()


def fill_folder(folder: Path) -> Mapping[str, str]:
    """A folder of PyPICloud where the service has its own."""
    for each in OLDS:
        write_file(folder / "packages", each)
    return {}


@contextmanager
def connected() -> Iterator[Any]:
    """boto3, at the server of buckets."""
    server = s3.seaweed()
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=s3.REGION,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    yield client
    client.close()


def fill_bucket(folder: Path) -> Mapping[str, str]:
    """A bucket of PyPICloud, in both of its layouts."""
    prefix = str(ULID())
    with connected() as client:
        for number, each in enumerate(OLDS):
            key = each.key("plain" if number % 2 else "hashed")
            write_object(client, s3.BUCKET, f"{prefix}/{key}", each)
    return {**s3.seaweed().environment, "PYPICLOUD_STORAGE": f"s3://{s3.BUCKET}/{prefix}"}


@pytest.fixture(scope="module", params=[fill_folder, fill_bucket], ids=["folder", "s3"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Adopted twice while the service runs, of which the first time says what it did."""
    folder = tmp_path_factory.mktemp("adopted")
    variables: Mapping[str, str] = request.param(folder)
    more = {**variables, "PYPICLOUD_LEGACY_METADATA": "true"}
    with serve(folder, read="everyone", variables=more) as server:
        site = Site(server, more)
        assert server.hashes("adopted-app") == {}
        wait_for_the_note(server)
        assert site.adopt()[-2] == f"{len(OLDS)} would be adopted."
        assert server.hashes("adopted-app") == {}
        assert site.adopt("--apply")[-1] == f"{len(OLDS)} adopted."
        assert site.adopt("--apply") == [f"{len(OLDS)} adopted before."]
        yield site


def wait_for_the_note(server: Server) -> None:
    """Return when the log says that files wait for their adoption; a start does not wait for it."""
    deadline = time.monotonic() + 30
    while "files that PyPICloud 1 left are not in this index" not in server.log:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


def test_pip(site: Site, sandbox: Sandbox) -> None:
    """pip installs an adopted project with its dependency, whatever old versions stand there."""
    venv = sandbox.venv()
    index = ("--index-url", site.server.simple)
    sandbox.must("pip", "--python", venv.python, "install", *index, "adopted-app")
    assert venv.installed() == INSTALLED


def test_uv(site: Site, sandbox: Sandbox) -> None:
    """uv does as well."""
    venv = sandbox.venv()
    index = ("--default-index", site.server.simple)
    sandbox.must("uv", "pip", "install", "--python", venv.python, *index, "adopted-app")
    assert venv.installed() == INSTALLED


def test_pip_finds_an_old_hash(site: Site, sandbox: Sandbox) -> None:
    """Lock files that pin the hashes of those days go on working."""
    venv = sandbox.venv()
    pinned = [f"{each.name}=={each.version} --hash=sha256:{each.made.sha256}" for each in OLDS[:3]]
    requirements = sandbox.folder / "requirements.txt"
    requirements.write_text("\n".join([pinned[0], pinned[2]]))
    options = ("--index-url", site.server.simple, "--require-hashes", "--only-binary=:all:")
    sandbox.must("pip", "--python", venv.python, "install", *options, "-r", requirements)
    assert venv.installed() == INSTALLED


def test_the_page_lists_all(site: Site) -> None:
    """Every old file is there with its hash; those before PEP 440 too."""
    for project in ("adopted-app", "adopted-leaf"):
        expected = {
            each.made.filename: each.made.sha256 for each in OLDS if each.project == project
        }
        assert site.server.hashes(project) == expected
    for each in OLDS:
        url = f"{site.server.url}/files/{each.project}/{each.made.filename}"
        response = httpx.get(url, follow_redirects=True, trust_env=False)
        assert response.content == each.made.content


def test_new_releases_stand_beside_the_old(site: Site, sandbox: Sandbox) -> None:
    """An adopted project takes uploads like any other, and the next adoption passes them over."""
    release = Release(name="Adopted.Leaf", version="3.0")
    folder = release.write(sandbox.folder / "project")
    uploaded = twine(sandbox, folder, site.server, UPLOADER)
    assert uploaded.status == 0, str(uploaded)
    assert len(site.server.hashes("adopted-leaf")) == 4
    if "PYPICLOUD_STORAGE" in site.variables:
        prefix = site.variables["PYPICLOUD_STORAGE"].rpartition("/")[2]
        assert recorded_names(f"{prefix}/blobs/adopted-leaf/") == ["adopted-leaf"] * 2
    assert site.adopt("--apply") == [f"{len(OLDS)} adopted before."]


def recorded_names(prefix: str) -> list[str]:
    """The projects that object metadata names, for PyPICloud to read."""
    with connected() as client:
        found = client.list_objects_v2(Bucket=s3.BUCKET, Prefix=prefix)["Contents"]
        heads = [client.head_object(Bucket=s3.BUCKET, Key=each["Key"]) for each in found]
    return [head["Metadata"]["name"] for head in heads if "name" in head["Metadata"]]
