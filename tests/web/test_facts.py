"""What pages say of metadata that strangers wrote."""

from __future__ import annotations

import pytest

from app.web import facts
from tests.factories import metadata


def read(*headers: tuple[str, str], **more: str) -> facts.Facts:
    """The facts of metadata with these headers."""
    return facts.read(metadata("demo", "1.0", headers=headers, **more))[0]


def test_facts_are_told() -> None:
    """Licence, people, keywords, classifiers, extras, dependencies and links."""
    found = read(
        ("License-Expression", "MIT"),
        ("Author-email", "Ada <ada@example.org>"),
        ("Keywords", "a,b"),
        ("Classifier", "Programming Language :: Python :: 3"),
        ("Provides-Extra", "web"),
        ("Requires-Dist", "Flask_Login>=1; extra == 'web'"),
        ("Project-URL", "Source, https://code.example/"),
        ("Description-Content-Type", "text/markdown"),
        description="# Hello",
    )
    assert found.license == "MIT"
    assert found.author == "Ada <ada@example.org>"
    assert found.keywords == ("a", "b")
    assert found.extras == ("web",)
    (dependency,) = found.dependencies
    assert (dependency.project, dependency.extra) == ("flask-login", "web")
    assert found.links == (facts.Link(label="Source", url="https://code.example/"),)
    assert found.described


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil.example/",
        "https:///x",
        "http://[broken",
        "ftp://a.example/",
        "https://a.example/\u202egnp.exe",
    ],
)
def test_only_links_of_the_web_are_links(url: str) -> None:
    """Whatever else a link says, it is not shown as one."""
    assert read(("Project-URL", f"Home, {url}"), ("Home-page", url)).links == ()


@pytest.mark.parametrize("line", ["not a requirement ][", "x" * 5000, "(" * 900, ""])
def test_a_dependency_that_cannot_be_read_is_text(line: str) -> None:
    """It is shown, and leads nowhere."""
    for one in read(("Requires-Dist", line)).dependencies:
        assert one.project in ("", "x" * 200)


def test_no_description_is_none() -> None:
    """Neither is UNKNOWN one."""
    assert not read().described
    assert not read(description="UNKNOWN").described
