"""Real clients on object stores: they upload to the index and fetch from the store."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import Sandbox, Tripwire
from tests.e2e.server import ADMIN, READER, UPLOADER, Server, serve
from tests.e2e.stores import CREDENTIALS, SIGNATURES, STORES, Store, is_signed
from tests.e2e.uploaders import twine
from tests.factories import Made, make_wheel

pytestmark = pytest.mark.e2e

LEAF = Release(name="store-leaf", version="2.1")
APP = Release(name="store-app", requires=["store-leaf>=2"])
PART = 16 * 2**20
"""Bytes; a file that is larger goes to the store in parts."""
VERBOSE = (
    *(sys.executable, "-c"),
    "import logging, logging.config\n"
    "chosen = logging.config.dictConfig\n"
    "def and_all(config):\n"
    "    chosen(config)\n"
    "    logging.getLogger().setLevel(logging.DEBUG)\n"
    "    told = logging.StreamHandler()\n"
    "    told.setFormatter(logging.Formatter(logging.BASIC_FORMAT))\n"
    "    logging.getLogger().addHandler(told)\n"
    "logging.config.dictConfig = and_all\n"
    "from app.protocol import Protocol; Protocol.log_every = 1\n"
    "from app.cli.main import main; main()",
)
"""``pypicloud`` where every library says all that it has to say."""


@pytest.fixture(scope="module", params=list(STORES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every store in turn."""
    with STORES[request.param]() as store:
        yield store


@pytest.fixture(scope="module")
def large() -> Made:
    """A wheel of more than one part."""
    content = Random(3).randbytes(PART + 2**20)
    return make_wheel("store-large", "1.0", files={"store_large.bin": content})


@pytest.fixture(scope="module")
def index(
    store: Store,
    large: Made,
    tmp_path_factory: pytest.TempPathFactory,
    session_tripwire: Tripwire,
) -> Iterator[Server]:
    """An index for its users alone, talkative, with what twine uploaded.

    Clients call it localhost and the store 127.0.0.1, for they know hosts apart by their names.
    """
    variables = {**store.variables, "PYPICLOUD_LOG_LEVEL": "debug"}
    folder = tmp_path_factory.mktemp("index")
    with serve(
        folder, read="authenticated", host="localhost", variables=variables, command=VERBOSE
    ) as server:
        project = folder / "project"
        (project / "dist").mkdir(parents=True)
        for made in (LEAF.wheel(), APP.wheel(), large):
            (project / "dist" / made.filename).write_bytes(made.content)
        uploaded = twine(Sandbox(folder, session_tripwire), project, server, UPLOADER)
        assert uploaded.status == 0, str(uploaded)
        yield server


@pytest.fixture(autouse=True)
def heard(index: Server, store: Store) -> Iterator[None]:
    """Whatever a test does, the store is told of nobody who uses the index."""
    store.recorder.said.clear()
    yield
    for fetch in store.recorder.fetches():
        assert fetch.method == "GET"
        assert not {"authorization", "cookie"} & set(fetch.headers), fetch.headers
    for account in (ADMIN, UPLOADER, READER):
        assert not store.recorder.heard_of(account)


def fetched(store: Store) -> list[str]:
    """The files that clients fetched from the store since the test began."""
    return sorted(fetch.filename for fetch in store.recorder.fetches())


def client(**options: bool) -> httpx.Client:
    """A client that knows READER's password."""
    auth = (READER.username, READER.password)
    return httpx.Client(auth=auth, trust_env=False, **options)  # type: ignore[arg-type]  # its many options


def file_url(index: Server, made: Made) -> str:
    """Where the index serves a file."""
    project = made.filename.partition("-")[0].replace("_", "-")
    return f"{index.url}/files/{project}/{made.filename}"


@pytest.mark.parametrize("credentials", ["url", "netrc"])
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_install(
    index: Server, store: Store, sandbox: Sandbox, tool: str, credentials: str
) -> None:
    """Pages and core metadata come from the index, wheels from the store."""
    if credentials == "netrc":
        index.write_netrc(sandbox.home, READER)
    url = index.simple if credentials == "netrc" else index.simple_as(READER)
    venv = sandbox.venv()
    commands: dict[str, tuple[str | Path, ...]] = {
        "pip": ("--python", venv.python, "install", "--index-url", url),
        "uv": ("pip", "install", "--python", venv.python, "--default-index", url),
    }
    answered = index.log.count('.whl.metadata HTTP/1.1" 200')
    sandbox.must(tool, *commands[tool], "store-app")
    assert venv.installed() == {"store-app": "1.0", "store-leaf": "2.1"}
    assert fetched(store) == sorted(made.filename for made in (APP.wheel(), LEAF.wheel()))
    assert index.log.count('.whl.metadata HTTP/1.1" 200') >= answered + 2


def test_download_with_hashes(index: Server, store: Store, sandbox: Sandbox, large: Made) -> None:
    """A wheel that went to the store in parts comes back with its hash."""
    wanted = sandbox.folder / "requirements.txt"
    wanted.write_text(f"store-large==1.0 --hash=sha256:{large.sha256}\n")
    target = sandbox.folder / "downloads"
    sandbox.must(
        "pip",
        *("download", "--no-deps", "--require-hashes", "-r", wanted, "--dest", target),
        *("--index-url", index.simple_as(READER)),
    )
    assert (target / large.filename).read_bytes() == large.content
    assert fetched(store) == [large.filename]


def test_redirect(index: Server, store: Store, large: Made) -> None:
    """It is for once, the same for a while, and leads to the bytes; ranges go with it."""
    url = file_url(index, large)
    with client() as asking:
        first, second = asking.get(url), asking.get(url, headers={"Range": "bytes=0-1"})
    assert first.status_code == second.status_code == 302
    assert first.headers["location"] == second.headers["location"]
    assert first.headers["location"].startswith(f"{store.recorder.url}/")
    assert is_signed(first.headers["location"])
    assert first.headers["cache-control"] == "private, no-store"
    assert first.content == b""
    with client(follow_redirects=True) as following:
        whole = following.get(url)
        part = following.get(url, headers={"Range": "bytes=100-199"})
    assert hashlib.sha256(whole.content).hexdigest() == large.sha256
    assert whole.headers["content-length"] == str(len(large.content))
    assert "content-encoding" not in whole.headers
    assert (part.status_code, part.content) == (206, large.content[100:200])


def test_what_the_index_answers_itself(index: Server, store: Store, large: Made) -> None:
    """HEAD, core metadata and 304 do not lead to the store."""
    url = file_url(index, large)
    with client() as asking:
        head = asking.head(url)
        metadata = asking.get(f"{url}.metadata")
        unchanged = asking.get(url, headers={"If-None-Match": head.headers["etag"]})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(large.content)))
    assert head.headers["etag"] == f'"{large.sha256}"'
    assert metadata.status_code == 200
    assert b"Name: store-large" in metadata.content
    assert unchanged.status_code == 304
    assert fetched(store) == []


def test_another_signature_is_refused(index: Server, large: Made) -> None:
    """The store looks at what is signed: nobody gets a file by the URL of another."""
    with client() as asking:
        location = asking.get(file_url(index, large)).headers["location"]
        other = asking.get(file_url(index, LEAF.wheel())).headers["location"]
    wrong = f"{location.partition('?')[0]}?{other.partition('?')[2]}"
    assert httpx.get(wrong, trust_env=False).status_code == 403


def test_nothing_shows_a_signature(
    index: Server, store: Store, sandbox: Sandbox, large: Made
) -> None:
    """Neither pages nor metrics nor the log, whatever all libraries say in it of all that is done.

    No key, token or password either.
    """
    venv = sandbox.venv()
    url = index.simple_as(READER)
    sandbox.must("pip", "--python", venv.python, "install", "--index-url", url, "store-app")
    with client() as asking:
        location = asking.get(file_url(index, large)).headers["location"]
        missing = asking.get(file_url(index, large).replace("1.0", "9.9"))
        shown = [missing.text]
        for path in ("simple/", "simple/store-large/", "pypi/store-large/json"):
            for accept in ("text/html", "application/vnd.pypi.simple.v1+json", "*/*"):
                answer = asking.get(f"{index.url}/{path}", headers={"Accept": accept})
                shown += [answer.text, str(answer.headers)]
        metrics = asking.get(f"{index.url}/metrics", auth=(ADMIN.username, ADMIN.password))
        assert metrics.status_code == 200
        shown.append(metrics.text)
    assert "DEBUG:asyncio" in index.log  # all say what they have to say
    assert "DEBUG:aiosqlite" not in index.log  # statements have hashes in them
    assert "POST /legacy/" in index.log
    secrets = [*store.secrets(), *(account.password for account in (ADMIN, UPLOADER, READER))]
    assert revealed(location, secrets)  # what is looked for can be found
    for text in (*shown, index.log):
        assert revealed(text, secrets) == []


def revealed(text: str, secrets: Sequence[str]) -> list[str]:
    """What a text shows that none may: signatures, credentials of headers, secrets."""
    marks = [*(f"{name}=" for name in SIGNATURES), *CREDENTIALS, *secrets]
    return [mark for mark in marks if mark in text]


def test_streamed(store: Store, sandbox: Sandbox, large: Made) -> None:
    """With ``PYPICLOUD_DELIVERY=stream`` no client hears of the store, nor who reads the log."""
    variables = {**store.elsewhere(), "PYPICLOUD_DELIVERY": "stream"}
    variables["PYPICLOUD_LOG_LEVEL"] = "debug"
    folder = sandbox.folder / "streaming"
    folder.mkdir()
    with serve(
        folder, read="authenticated", host="localhost", variables=variables, command=VERBOSE
    ) as server:
        server.publish(APP, LEAF)
        (folder / "dist").mkdir()
        (folder / "dist" / large.filename).write_bytes(large.content)
        uploaded = twine(sandbox, folder, server, UPLOADER)
        assert uploaded.status == 0, str(uploaded)
        venv = sandbox.venv()
        python = ("--python", venv.python)
        url = server.simple_as(READER)
        sandbox.must("pip", *python, "install", "--index-url", url, "store-app")
        assert venv.installed() == {"store-app": "1.0", "store-leaf": "2.1"}
        with client() as asking:
            whole = asking.get(file_url(server, large))
            part = asking.get(file_url(server, large), headers={"Range": "bytes=100-199"})
    assert (whole.status_code, whole.content) == (200, large.content)
    assert (part.status_code, part.content) == (206, large.content[100:200])
    assert fetched(store) == []
    assert "DEBUG:" in server.log
    assert revealed(server.log, store.secrets()) == []
