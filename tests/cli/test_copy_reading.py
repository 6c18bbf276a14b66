"""``pypicloud copy`` and ``migrate --copy-to`` out of a bucket that they may only read."""

from __future__ import annotations

from pathlib import Path

import pytest
from ulid import ULID

from tests import clouds
from tests.cli.running import Desk
from tests.e2e.test_adopted import connected
from tests.factories import make_wheel
from tests.former import ini
from tests.pypicloud import wheel, write_object
from tests.servers import s3

pytestmark = pytest.mark.timeout(600)  # many commands, and machines may be busy

MADE = make_wheel("demo", "1.0")


@pytest.fixture
def reader() -> s3.S3Server:
    """Somebody who may list and read the bucket."""
    return s3.reader(s3.seaweed())


def test_copied_by_whoever_may_only_read(tmp_path: Path, reader: s3.S3Server) -> None:
    """A bucket becomes a folder; the bucket's own service would not start with such keys."""
    bucket, folder = f"s3://{s3.BUCKET}/{ULID()}", f"file:{tmp_path}/copy"
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / MADE.filename).write_bytes(MADE.content)
    owner = Desk(tmp_path, {**s3.seaweed().environment, "PYPICLOUD_STORAGE": bucket})
    owner.done("migrate", "folder", "dist", "--json")
    other = Desk(
        tmp_path, {**reader.environment, "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{tmp_path}/n.db"}
    )
    assert "s3:PutObject" in other.having(PYPICLOUD_STORAGE=bucket).refused("reindex")
    counts = other.json("copy", bucket, folder)
    assert counts["copied"] > 0
    assert counts["wrong"] == []
    moved = other.having(PYPICLOUD_STORAGE=folder)
    moved.done("reindex")
    assert moved.json("check", "--deep")["files"] == 1


def test_migrated_by_whoever_may_only_read(tmp_path: Path, reader: s3.S3Server) -> None:
    """A dry run as well; where the files stay in the bucket, it must be written to."""
    prefix, old = f"{ULID()}/", wheel("demo")
    with connected() as client:
        write_object(client, s3.BUCKET, f"{prefix}{old.key()}", old)
    keys = {
        "storage.aws_access_key_id": reader.access_key_id,
        "storage.aws_secret_access_key": reader.secret_access_key,
    }
    ini(tmp_path / "production.ini", {**clouds.s3_options(prefix), **keys})
    desk = Desk(tmp_path)
    asked = ("migrate", "pypicloud", "production.ini")
    assert "s3:PutObject" in desk.refused(*asked)
    to = ("--copy-to", f"file:{tmp_path}/new")
    assert "1 would be adopted" in desk.done(*asked, *to, "--dry-run")
    assert "1 adopted" in desk.done(*asked, *to)
