"""Archives and names made to do harm, uploaded while others go on working."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conformance.client import BOUNDARY, MULTIPART, claim, multipart
from tests.conformance.site import ADMIN, Site, serving
from tests.factories import Made, make_sdist, make_wheel
from tests.hostile.archives import Hostile, catalogue
from tests.hostile.names import FILENAMES, NAMES, VERSIONS

ARCHIVES = catalogue()
STRICT = [hostile for hostile in ARCHIVES if hostile.profile == "strict"]
IMPORT = [hostile for hostile in ARCHIVES if hostile.profile == "import"]
GOOD = (make_wheel("evil"), make_sdist("evil"))
KIB = 1024
SERVER_GROWTH = 64 * KIB
"""KiB by which the server's memory may grow over everything that is sent here."""
CHILD_PEAK = 128 * KIB
FIELDS = (
    ":action",
    "protocol_version",
    "filetype",
    "pyversion",
    "metadata_version",
    "name",
    "version",
    "sha256_digest",
    "blake2_256_digest",
    "md5_digest",
    "comment",
    "summary",
    "description",
    "classifiers",
    "attestations",
    "requires_python",
    "gpg_signature",
)
VALUES = ("\x00", "\x00" * 5000, "\ud800", "\U0010ffff", "\u202e", "'; drop table files; --", "{0}",
          "%s%n", "${jndi:ldap://x.example/}", "../" * 500, "1" * 100_000, "[" * 50_000, "\r\n\r\n",
          f"--{BOUNDARY}", "a" * 2_000_000, "-1", "NaN", "null", "\x1b]0;x\x07")  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service of its own, with room for two inspections."""
    with serving(tmp_path_factory.mktemp("target"), INSPECTORS="2") as running:
        running.release("warm")
        running.publish(make_sdist("warm"), "warm")
        yield running


def _memory(pid: int, field: str) -> int:
    """KiB, as the kernel says; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, listed.read_text().split()):
                found |= {child, *_descendants(child)}
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


class Neighbour(threading.Thread):
    """A good client that uploads and reads until it is told to stop, and notes what it saw."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.done = threading.Event()
        self.wrong: list[str] = []
        self.rounds = 0
        self.child_peak = 0

    def run(self) -> None:
        """Upload, read, look at the memory."""
        while not self.done.is_set():
            self.rounds += 1
            version = f"1.{self.rounds}"
            made = make_wheel("neighbour", version)
            try:
                self.site.publish(made, "neighbour", version)
                listed = self.site.file("neighbour", made.filename)
                body = self.site.get(self.site.location("neighbour", made.filename)).body
                if body != made.content or listed["hashes"]["sha256"] != made.sha256:
                    self.wrong.append(made.filename)
            except (AssertionError, OSError) as error:
                self.wrong.append(repr(error))
            for child in _descendants(self.site.pid):
                self.child_peak = max(self.child_peak, _memory(child, "VmHWM"))

    def __enter__(self) -> Neighbour:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()


def _evil(site: Site) -> dict[str, int]:
    """The keys that have to do with what is uploaded here."""
    return {key: size for key, size in site.keys().items() if "neighbour" not in key}


def _attempt(site: Site, hostile: Hostile) -> str:
    """Upload one; what is wrong with how it was refused."""
    made = Made(hostile.filename, hostile.content)
    fields = {"metadata_version": "2.1", "filetype": hostile.kind.value}
    answer = site.upload(made, "evil", auth=ADMIN, fields=fields)
    if answer.status != 400:
        return f"{hostile.id}: {answer.status} {answer.reason}"
    message = answer.message
    lies = hostile.stage == "agreement" and "metadata is that of" in message
    if not (lies or hostile.matches(message)):
        return f"{hostile.id}: {message}"
    if not (answer.reason.isascii() and answer.reason.isprintable()):
        return f"{hostile.id}: {answer.reason!r}"
    return ""


def test_there_are_enough() -> None:
    """More than 60 archives, and more than 60 names."""
    assert len(ARCHIVES) > 60
    assert len({*FILENAMES, *NAMES, *VERSIONS}) > 60


def test_t05_t06_hostile_archives(target: Site) -> None:
    """Each is refused with its reason, nothing of it is stored, its name stays free.

    Meanwhile a good client sees no error, and the memory of the server and of the children
    that look into archives stays bounded.
    """
    before, resident = _evil(target), _memory(target.pid, "VmRSS")
    with Neighbour(target) as neighbour:
        wrong = [said for hostile in STRICT if (said := _attempt(target, hostile))]
    assert not wrong, "\n".join(wrong)
    assert not neighbour.wrong
    assert neighbour.rounds > 10
    assert _evil(target) == before
    assert not list((target.state / "spool").iterdir())
    assert target.page("evil").status == 404
    assert _memory(target.pid, "VmHWM") - resident < SERVER_GROWTH
    assert 0 < neighbour.child_peak < CHILD_PEAK
    for made in GOOD:
        target.publish(made, "evil")
        assert target.get(target.location("evil", made.filename)).body == made.content


def test_t05_hostile_archives_in_import(importing: Site) -> None:
    """What is for import alone is refused there too, and leaves nothing."""
    before = importing.keys()
    wrong = [said for hostile in IMPORT if (said := _attempt(importing, hostile))]
    assert not wrong, "\n".join(wrong)
    assert importing.keys() == before
    assert importing.page("evil").status == 404


def test_t05_strict_archives_in_import(importing: Site) -> None:
    """What strict refuses is refused or taken by import, quickly, and never breaks it."""
    for hostile in STRICT:
        made = Made(hostile.filename, hostile.content)
        fields = {"metadata_version": "2.1", "filetype": hostile.kind.value}
        answer = importing.upload(made, "evil", auth=ADMIN, fields=fields)
        assert answer.status in (200, 400), hostile.id
        if answer.status == 400:
            assert answer.message


@pytest.fixture(scope="module")
def taken(target: Site) -> Site:
    """The service with the good files in it, so that nothing more may come."""
    for made in GOOD:
        target.publish(made, "evil")
    return target


def _raw(made: Made, fields: dict[str, str], filename: bytes) -> bytes:
    """The form with a filename as it is, escaped by nothing."""
    marker = Made("MARKER", made.content)
    return multipart(fields.items(), marker).replace(b"MARKER", filename)


@pytest.mark.parametrize("index", range(len(GOOD)))
def test_t08_hostile_filenames(taken: Site, index: int) -> None:
    """Each is 400 with a reason, as browsers escape it and as it is; nothing is stored."""
    made = GOOD[index]
    before = taken.keys()
    for filename in FILENAMES:
        fields = claim(made, "evil", "1.0")
        bodies = [multipart(fields.items(), Made(filename, made.content)),
                  _raw(made, fields, filename.encode("utf-8", "surrogatepass")),
                  _raw(made, fields, filename.encode("utf-16", "surrogatepass"))]  # fmt: skip
        for body in bodies:
            answer = taken.ask("POST", "/legacy/", MULTIPART, body, auth=ADMIN)
            assert answer.status == 400, ascii(filename)
            assert answer.message
            assert answer.header("x-evil") is None
    assert taken.keys() == before


@pytest.mark.parametrize(("field", "values"), [("name", NAMES), ("version", VERSIONS)])
def test_t08_hostile_names_and_versions(taken: Site, field: str, values: tuple[str, ...]) -> None:
    """Each is 400, or means the plain one without white space around it; nothing is stored."""
    before = taken.keys()
    plain = {"name": "evil", "version": "1.0"}[field]
    for value in values:
        answer = taken.upload(GOOD[0], "evil", auth=ADMIN, fields={field: value})
        assert answer.status == (200 if value.strip() == plain else 400), ascii(value)[:80]
        assert answer.status == 200 or answer.message
    assert taken.keys() == before


@pytest.mark.parametrize("field", FIELDS)
def test_t08_hostile_values_of_every_field(taken: Site, field: str) -> None:
    """Whatever a field holds, the answer is 200 or a refusal, and nothing new is stored."""
    before = taken.keys()
    for value in VALUES:
        answer = taken.upload(GOOD[0], "evil", auth=ADMIN, fields={field: value})
        assert answer.status in (200, 400, 413), (field, ascii(value)[:40], answer)
        assert answer.status == 200 or answer.message
    names = taken.upload(GOOD[0], "evil", auth=ADMIN, more=[(value[:99], "x") for value in VALUES])
    assert names.status in (200, 400)
    assert taken.keys() == before


URLS = ("/simple/{}/", "/simple/{}", "/files/{}/x-1.0.tar.gz", "/files/evil/{}",
        "/files/evil/{}.metadata", "/pypi/{}/json", "/pypi/evil/{}/json", "/legacy/+simple/{}/",
        "/docs/{}", "/{}", "/simple/?format={}", "/legacy/?:action={}",
        "/api/v1/projects/{}", "/api/v1/projects?query={}", "/api/v1/projects?cursor={}",
        "/api/v1/projects?limit={}", "/api/v1/changes?after={}")  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_t08_hostile_names_in_urls(taken: Site, url: str) -> None:
    """In any URL, encoded once, twice or not at all: never 5xx, never a file of the machine."""
    before = taken.keys()
    for name in {*FILENAMES, *NAMES, *VERSIONS}:
        raw = name.encode("utf-8", "surrogatepass")
        once = quote(raw, safe="")
        plain = "".join(char if "!" <= char <= "~" else "_" for char in name)
        for spelling in (once, quote(once, safe=""), plain):
            answer = taken.get(url.format(spelling), auth=ADMIN)
            assert answer.status < 500, (url, ascii(name))
            assert b"root:" not in answer.body
            assert answer.header("x-evil") is None
    assert taken.keys() == before


WRITES = (
    ("PATCH", "/api/v1/projects/{}", b'{"status": "archived"}'),
    ("DELETE", "/api/v1/projects/{}", b""),
    ("POST", "/api/v1/projects/{}/restore", b""),
    ("PATCH", "/api/v1/projects/evil/releases/{}", b'{"yanked": "x"}'),
    ("POST", "/api/v1/projects/evil/releases/{}/restore", b""),
    ("PATCH", "/api/v1/projects/evil/files/{}", b'{"yanked": true}'),
    ("DELETE", "/api/v1/projects/evil/files/{}", b""),
    ("POST", "/api/v1/projects/evil/files/{}/restore", b""),
)


@pytest.mark.parametrize(("method", "url", "body"), WRITES)
def test_t08_hostile_names_in_changes(taken: Site, method: str, url: str, body: bytes) -> None:
    """No change is made by a hostile name, not even a project of that name."""
    before = taken.keys()
    headers = {"Content-Type": "application/json"}
    for name in {*FILENAMES, *NAMES, *VERSIONS}:
        once = quote(name.encode("utf-8", "surrogatepass"), safe="")
        answer = taken.ask(method, url.format(once), headers, body, auth=ADMIN)
        assert 400 <= answer.status < 500, (url, ascii(name), answer.status)
    assert taken.keys() == before


REASONS = ("<script>alert(1)</script>", "\u202e", "a" * 100_000, "x\ny", "\u00e9\U0001f600",
           '"', "\x7f", "\\u0000", "\\ud800", "\\u0001")  # fmt: skip


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: ascii(reason)[:20])
def test_t16_hostile_reasons(taken: Site, reason: str) -> None:
    """A reason is refused, or shown escaped, in pages that can be read."""
    taken.release("reasons")
    quoted = reason.replace('"', '\\"').replace("\n", "\\n") if "\\u" not in reason else reason
    headers = {"Content-Type": "application/json"}
    for path, body in (("releases/1.0", '{"yanked": "%s"}'),
                       ("", '{"status": "deprecated", "reason": "%s"}')):  # fmt: skip
        target = f"/api/v1/projects/reasons/{path}".rstrip("/")
        answer = taken.ask("PATCH", target, headers, (body % quoted).encode(), auth=ADMIN)
        assert answer.status in (200, 400), answer.reason
    assert taken.file("reasons")
    page = taken.page("reasons", "text/html")
    assert page.status == 200
    assert b"<script" not in page.body
    assert taken.html("reasons").anchors
    for door in ("/pypi/reasons/json", "/api/v1/projects/reasons"):
        assert taken.get(door, auth=ADMIN).status == 200
