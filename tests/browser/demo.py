"""A service with something in it to look at: ``make demo``, the screenshots, and tests of pages.

python -m tests.browser.demo [PORT]
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from app.config import Settings
from app.main import create_app
from tests.factories import Made, form, make_sdist, make_wheel
from tests.serving import Served, serving_ready

ADMIN = ("admin", "correct horse battery")
MIKA = ("mika", "a fine long passphrase")
README = """\
# Holygrail

Finds **holy grails** in haystacks of parsed bytes. [Documentation](https://docs.example/holygrail)
· [In-page](#quick-start)

![build](https://badges.example/build.svg)

## Quick start

```python
from holygrail import seek

for grail in seek("castle.bin", deep=True):
    print(grail.holiness, grail.offset)
```

| Option | Meaning | Default |
| --- | --- | --- |
| `deep` | looks into nested archives | `False` |
| `limit` | how many grails are enough | `1` |

- [x] finds grails
- [ ] finds *all* grails

> It is only a model.
"""
CLASSIFIERS = (
    "Development Status :: 5 - Production/Stable",
    "Intended Audience :: Developers",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3.12",
    "Topic :: Software Development :: Libraries",
)
MARKDOWN = ("Description-Content-Type", "text/markdown")
PROJECTS = (
    ("corp-auth", "2.3.1", "Single sign-on for every internal service"),
    ("corp-logging", "1.8.0", "Structured logs with request ids, the way operations wants them"),
    ("data-pantry", "0.9.2", "Typed access to the data lake, with a cache on disk"),
    ("invoice-kit", "4.0.0", "Makes invoices and reads them back"),
    ("kintai", "3.1.4", "勤怠管理のためのクライアントライブラリ"),
    ("parcel-tracker", "1.2.0", "Asks carriers where a parcel is"),
)


def headers(*more: tuple[str, str]) -> list[tuple[str, str]]:
    """What the metadata of the largest project says."""
    return [
        MARKDOWN,
        ("Author", "Mika Sato"),
        ("License-Expression", "MIT"),
        ("Project-URL", "Homepage, https://holygrail.example/"),
        ("Project-URL", "Source, https://code.example/holygrail"),
        ("Keywords", "grail,parsing,bytes"),
        *(("Classifier", one) for one in CLASSIFIERS),
        ("Requires-Dist", "corp-logging>=1.5"),
        ("Requires-Dist", "numpy>=2; extra == 'fast'"),
        ("Provides-Extra", "fast"),
        *more,
    ]


class Seeder:
    """Fills a service through its own doors."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)

    def __enter__(self) -> Seeder:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def upload(self, made: Made, name: str, version: str, who: tuple[str, str] = MIKA) -> None:
        """As twine does it."""
        content = {"content": (made.filename, made.content)}
        fields = form(made, name, version)
        self._http.post("/legacy/", data=fields, files=content, auth=who).raise_for_status()

    def call(self, method: str, path: str, body: Any = None) -> None:
        """As an admin's script does it."""
        self._http.request(method, f"/api/v1{path}", json=body, auth=ADMIN).raise_for_status()


def seed(url: str) -> None:
    """Projects, people, and something of every state."""
    with Seeder(url) as seeder:
        seeder.call("PUT", "/users/mika", {"password": MIKA[1], "admin": False})
        seeder.call("PUT", "/users/ken", {"password": MIKA[1], "admin": False})
        seeder.call("PUT", "/groups/data-team")
        seeder.call("PUT", "/groups/data-team/members/mika")
        for name, version, summary in PROJECTS:
            text = f"# {name}\n\n{summary}.\n"
            made = make_wheel(name, version, summary=summary, headers=[MARKDOWN], description=text)
            seeder.upload(made, name, version)
        _grail(seeder)
        seeder.call(
            "PUT",
            "/projects/holygrail/grants/user:mika",
            {"permissions": ["upload", "manage", "read"]},
        )
        seeder.call("PUT", "/projects/holygrail/grants/everyone", {"permissions": ["read"]})
        seeder.call(
            "PATCH", "/projects/holygrail/releases/1.1.0", {"yanked": "Loses grails in archives"}
        )
        archived = {"status": "archived", "reason": "Replaced by data-pantry"}
        seeder.call("PATCH", "/projects/invoice-kit", archived)
        seeder.call(
            "PATCH", "/projects/parcel-tracker", {"status": "deprecated", "reason": "Use corp-auth"}
        )


def _grail(seeder: Seeder) -> None:
    summary = "Finds holy grails in haystacks of parsed bytes"
    for version in ("1.0.0", "1.1.0", "2.0.0b1", "2.0.0"):
        about: dict[str, Any] = {
            "summary": summary,
            "headers": headers(),
            "description": README,
            "requires_python": ">=3.11",
        }
        seeder.upload(make_sdist("holygrail", version, **about), "holygrail", version)
        tags = ["py3-none-any"]
        if version == "2.0.0":
            tags = [
                f"cp3{minor}-cp3{minor}-{platform}"
                for minor in (12, 13)
                for platform in ("manylinux_2_28_x86_64", "macosx_11_0_arm64", "win_amd64")
            ]
        for tag in tags:
            made = make_wheel(
                "holygrail",
                version,
                tag=tag,
                files={
                    "holygrail/__init__.py": f'__version__ = "{version}"\n'.encode(),
                    "holygrail/seek.py": b"def seek(path, *, deep=False):\n    yield from ()\n"
                    * 40,
                },
                dist_info={"entry_points.txt": b"[console_scripts]\ngrail = holygrail.seek:seek\n"},
                **about,
            )
            seeder.upload(made, "holygrail", version)


@contextmanager
def demo(folder: Path, *, seeded: bool = True, **settings: Any) -> Iterator[Served]:
    """The service, filled; ``settings`` are over those of the demo."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen: dict[str, Any] = {
        "storage": "memory:",
        "cache": "memory:",
        "access": f"sqlite+aiosqlite:///{folder}/access.db",
        "spool": folder / "spool",
        "admin_password": SecretStr(ADMIN[1]),
        "inspectors": 1,
        "default_read": frozenset({"everyone"}),
        "default_write": frozenset({"authenticated"}),
        "limits": {"logins": 0, "all_logins": 0, "searches": 0},
        **settings,
    }
    with serving_ready(create_app(Settings(**chosen)), port=chosen.get("port", 0)) as served:
        if seeded:
            seed(served.url)
        yield served


def main() -> None:
    """Serve until somebody presses Ctrl-C."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder), port=port) as served:
        print(f"The demo is at {served.url}/; log in as {ADMIN[0]!r} with {ADMIN[1]!r}.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Gone, with all that was in it.")


if __name__ == "__main__":
    main()
