"""What strict asks of the fields of core metadata."""

from __future__ import annotations

import time

import pytest

from app import errors
from app.upload import metadata, rules

HEAD = "Metadata-Version: 2.5\nName: demo\nVersion: 1.0\n"


def check(*lines: str, head: str = HEAD) -> None:
    """Ask every rule of metadata with these lines."""
    text = head + "".join(f"{line}\n" for line in lines)
    rules.check_rules(metadata.parse(text.encode(), "strict").raw)


@pytest.mark.parametrize(
    "line",
    [
        "Summary: " + "x" * 512,
        "Requires-Python: >=3.8,<4,!=3.9.1",
        "Requires-Python: >=3.8,\n    <4",
        "Requires-Dist: requests[socks] >=2.0,<3 ; python_version >= '3.8' and extra == 'x'",
        "Requires-Dist: requests (>=2.0)",
        "Provides-Extra: some.Extra_1",
        "Dynamic: Requires-Dist",
        "License: BSD, see LICENSE",
        "License-Expression: MIT AND (Apache-2.0 OR LicenseRef-Ours)",
        "License-Expression: mit",
        "License-File: licenses/LICENSE.txt",
        "Classifier: Programming Language :: Python :: 3",
        "Project-URL: Source, https://example.com/x?a=1,2",
        "Project-URL: " + "x" * 32 + ", https://example.com",
        "Author-email: Jane <jane@example.com>, joe@example.com",
        "Author-email: Doe, Jane <jane@example.com>",
        "Import-Name: demo.sub",
        "Import-Name: _demo ; private",
        "Import-Name:",
        "Import-Namespace: ns",
        "Keywords: a, b",
        "X-Unknown: whatever",
        "Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM",
        "Description-Content-Type: text/x-rst",
        "Description-Content-Type: text/plain",
    ],
)
def test_cnt_9_fields_that_are_fine(line: str) -> None:
    """What current tools write passes."""
    check(line)


@pytest.mark.parametrize(
    "line",
    [
        "Summary: " + "x" * 513,
        "Summary: two\n  lines",
        "Requires-Python: >=3.8.*,<bogus",
        "Requires-Python: 3.8",
        "Requires-Python: >=\u0663",
        "Requires-Python: >=" + "9" * 5_000,
        "Requires-Python: " + ",".join([">=3"] * 400),
        "Requires-Dist: not a requirement",
        "Requires-Dist: requests >=",
        "Requires-Dist: requests; python_version",
        "Requires-Dist: " + "x" * 17_000,
        "Provides-Extra: not a name",
        "Provides-Extra: \u212aelvin",
        "Dynamic: Name",
        "Dynamic: Version",
        "Dynamic: Metadata-Version",
        "Dynamic: Bogus",
        "Dynamic:",
        "License-Expression: Use-it-after-midnight",
        "License-Expression: MIT AND",
        "License-Expression: " + "(" * 40 + "MIT" + ")" * 40,
        "License-Expression: " + " AND ".join(["MIT"] * 200),
        "License-File: ../LICENSE",
        "License-File: /etc/passwd",
        "License-File: LICEN*",
        "License-File: a\\b",
        "Classifier: Programming Language :: Klingon",
        "Classifier: private :: x",
        "Project-URL: " + "x" * 33 + ", https://example.com",
        "Project-URL: , https://example.com",
        "Project-URL: Home",
        "Author-email: nobody",
        "Maintainer-email: @",
        "Import-Name: not-a-name",
        "Import-Name: class",
        "Import-Name: demo; public",
        "Import-Namespace: a..b",
    ],
)
def test_cnt_9_fields_that_are_wrong(line: str) -> None:
    """Each wrong field is refused, by a short ASCII message that begins with its name."""
    field = line.partition(":")[0].title().replace("-Url", "-URL").replace("Url", "URL")
    with pytest.raises(errors.InvalidUpload) as refused:
        check(line)
    message = str(refused.value)
    assert message.lower().startswith(f"{field}: ".lower())
    assert message.isascii()
    assert len(message) < 300


def test_cnt_8_expression_and_license() -> None:
    """License-Expression stands instead of License."""
    with pytest.raises(errors.InvalidUpload, match=r"\ALicense: .*not both"):
        check("License-Expression: MIT", "License: MIT")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "text/markdown; variant=Other",
        "text/plain; charset=utf-7",
        "text/plain; x*",
        "markdown",
        "text/plain" + "(" * 200,
        "text/plain;" + "a=b;" * 100,
    ],
)
def test_cnt_10_content_types(content_type: str) -> None:
    """A markup that cannot be shown is refused."""
    with pytest.raises(errors.InvalidUpload, match=r"\ADescription-Content-Type: "):
        check(f"Description-Content-Type: {content_type}")


def test_cnt_10_nothing_is_rendered() -> None:
    """A description that takes minutes to render takes no time here."""
    rest = "".join(
        f".. |{a}| replace:: |{b}||{b}|\n"
        for a, b in zip("abcdefghijklmno", "bcdefghijklmnop", strict=True)
    )
    start = time.process_time()
    check("Description-Content-Type: text/x-rst", "", "|a|", rest, ">" * 50_000)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "classifier",
    ["Private :: Do Not Upload", "Private :: Ours", "Natural Language :: Ukranian"],
)
def test_cnt_11_classifiers(classifier: str) -> None:
    """Private classifiers and those that were given up are accepted."""
    check(f"Classifier: {classifier}")


@pytest.mark.parametrize(
    "requirement",
    [
        "demo @ https://user:hunter2@example.com/demo-1.0.whl",
        "demo @ git+ssh://git@example.com/demo.git@main",
    ],
)
def test_cnt_12_direct_urls(requirement: str) -> None:
    """Requirements by URL are fine on a private index."""
    check(f"Requires-Dist: {requirement}")


def test_t23_no_secrets_in_errors() -> None:
    """The URL of a requirement may hold a password, so it is not shown."""
    with pytest.raises(errors.InvalidUpload) as refused:
        check("Requires-Dist: demo @ https://user:hunter2@example.com/demo.whl ; bogus")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["Requires-Dist: a; " + "(" * 10_000 + "os_name == 'a'" + ")" * 10_000],
        ["Requires-Dist: a; " + " and ".join(["os_name == 'a'"] * 100_000)[:250_000]],
        ["Requires-Dist: a" + ",".join([">=1"] * 3_000)] * 100,
        ["Requires-Dist: a[" + ",".join(["x"] * 8_000) + "]"] * 100,
        ["Requires-Dist: a==" + "9" * 10_000],
        ["Author-email: " + "a" * 200_000],
        ["Author-email: " + "a@" * 100_000],
        ["Import-Name: " + ".".join(["a"] * 100_000)],
        ["License-Expression: " + "x" * 200_000],
    ],
)
def test_t06_rules_are_quick(lines: list[str]) -> None:
    """Requirements that make parsers recurse or crawl are refused or read in time."""
    start = time.process_time()
    try:
        check(*lines)
    except errors.InvalidUpload as error:
        assert len(str(error)) < 300  # noqa: PT017 (refused or read, both are fine)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "head", [HEAD.replace("2.5", version) for version in ("1.2", "2.1", "2.3")]
)
def test_cnt_7_license_files_below_2_4(head: str) -> None:
    """Before 2.4 License-File was a habit of setuptools without a meaning."""
    check("License-File: ../LICENSE", "License-File: a*", head=head)
