"""Make the passwords that the services of docker-compose.yml have for each other, once.

    python passwords.py FOLDER

Each service gets a folder that it alone may read. What is there already stays.
"""

import json
import os
import secrets
import sys
from pathlib import Path

OWNERS = {"pypicloud": 10001, "postgres": 70, "redis": 999, "store": 0}
"""The users that the images run as; the store runs as root without its rights."""

TOML = """\
storage = "s3://packages"
cache = "redis://redis:6379/0"
access = "postgresql://pypicloud:{postgres}@postgres:5432/pypicloud"

[redis]
password = "{redis}"

[s3]
endpoint_url = "http://store:8333"
region = "us-east-1"
access_key_id = "pypicloud"
secret_access_key = "{store}"
"""
REDIS = """\
requirepass {redis}
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
protected-mode no
"""


def main(folder: Path) -> None:
    """Write all that is missing."""
    if (folder / "made").exists():
        return
    made = {name: secrets.token_hex(24) for name in ("postgres", "redis", "store")}
    identity = {
        "name": "pypicloud",
        "credentials": [{"accessKey": "pypicloud", "secretKey": made["store"]}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    write(folder / "pypicloud" / "pypicloud.toml", TOML.format(**made))
    write(folder / "postgres" / "password", made["postgres"])
    write(folder / "redis" / "redis.conf", REDIS.format(**made))
    write(folder / "redis" / "password", made["redis"])
    write(folder / "store" / "s3.json", json.dumps({"identities": [identity]}))
    (folder / "made").touch()


def write(path: Path, text: str) -> None:
    """Write a file for the user of its service, and for nobody else."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    if os.geteuid() == 0:
        owner = OWNERS[path.parent.name]
        for owned in (path, path.parent):
            os.chown(owned, owner, owner)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
