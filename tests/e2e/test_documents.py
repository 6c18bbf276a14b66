"""What the README and the tutorial tell their readers to do, done: every command, in order."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import typer

from app.cli.main import app as command
from tests.canary import require_clean
from tests.e2e import documents
from tests.e2e.projects import Release
from tests.e2e.sandbox import ROOT, Finished, Sandbox
from tests.e2e.server import Server, free_port, serve
from tests.factories import make_sdist, make_wheel
from tests.servers import postgresql, s3
from tests.test_release import build

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
HOW_TO = ROOT / "docs" / "howto"
PATIENCE = 540.0
"""Seconds that a page's commands may take on a busy machine."""
BUCKET = "my-packages"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The index that a reader's machine knows by itself: it has our wheel."""
    folder = tmp_path_factory.mktemp("shop")
    wheel = build(folder / "dist", "wheel")
    with serve(folder, read="everyone", variables={"PYPICLOUD_UPLOAD_PROFILE": "import"}) as index:
        subprocess.run(
            [Path(sys.executable).with_name("pypicloud"), "upload", wheel, "--url", index.url],
            env={
                "PATH": "/usr/bin:/bin",
                "TWINE_USERNAME": "admin",
                "TWINE_PASSWORD": "the admin's pass phrase",
            },
            check=True,
            capture_output=True,
        )
        yield index


def follow(
    sandbox: Sandbox, shop: Server, page: Path, folder: Path, before: str = "", **words: str
) -> Finished:
    """Run what a page says, in a folder, on a port of its own; it must succeed."""
    programs = documents.tools(sandbox.folder / "tools")
    (script := sandbox.folder / "session.sh").write_text(documents.session(page, before, **words))
    log, port, other = sandbox.folder / "served.log", free_port(), free_port()
    bucket = s3.seaweed()
    finished = subprocess.run(
        ["bash", script],
        cwd=folder,
        env={
            **sandbox.environment(),
            "PATH": f"{programs}:/usr/bin:/bin",
            "ASK": str(programs / "ask"),
            "LOG": str(log),
            "ADDRESS": f"127.0.0.1:{port}",
            "OTHER_ADDRESS": f"127.0.0.1:{other}",
            "PYPICLOUD_PORT": str(port),
            "PYPICLOUD_INSPECTORS": "1",
            "PIP_INDEX_URL": shop.simple,
            "UV_OFFLINE": "0",
            **{name: text for name, text in bucket.environment.items() if "REGION" not in name},
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    served = log.read_text() if log.exists() else ""
    done = Finished(("bash", page.name), finished.returncode, f"{finished.stdout}\n{served}")
    assert done.status == 0, str(done)
    assert "Traceback" not in served, served
    printed = re.findall(r"password (\S+) \(shown this once\)", served)
    require_clean(re.sub(r"(?m)^(Admin:|  twine|  pip|  uv) .*$", "", served), *printed)
    return done


def test_every_command_of_the_tutorial(sandbox: Sandbox, shop: Server) -> None:
    """From an empty folder to a protected project, by a reader who knows nothing."""
    (folder := sandbox.folder / "reader").mkdir()
    told = follow(sandbox, shop, TUTORIAL, folder).output
    for expected in (
        "Successfully installed pypicloud-",
        "Hello from hello-index!",
        "user:alice  read, upload",
        "Bob gets nothing.",
        "hello_index-0.1.0.tar.gz yanked.",
        "no longer yanked.",
    ):
        assert expected in told, told
    made = folder / "tutorial"
    assert [path.name for path in (made / "alice").iterdir()] == [
        "hello_index-0.1.0-py3-none-any.whl"
    ]
    assert not (made / "bob").exists() or not list((made / "bob").iterdir())
    assert (made / "data" / "packages").is_dir()


def test_every_command_of_the_readme(sandbox: Sandbox, shop: Server) -> None:
    """``make run``, uploads, installations, and then the object store."""
    release = Release(name="from-the-readme")
    folder = documents.checkout(release.write(sandbox.folder / "clone"))
    bucket = s3.seaweed()
    made = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint_url,
        region_name=s3.REGION,
        aws_access_key_id=bucket.access_key_id,
        aws_secret_access_key=bucket.secret_access_key,
    )
    made.create_bucket(Bucket=BUCKET)
    told = follow(sandbox, shop, README, folder, 'activate "$HOME/own"', NAME=release.name).output
    assert f"Successfully installed {release.name}-1.0" in told, told
    assert made.list_objects_v2(Bucket=BUCKET).get("KeyCount", 0) > 0, told


def begun(folder: Path, *, serving: bool = True) -> str:
    """What a how-to's reader has done: installed, served, and uploaded two releases."""
    (folder / "dist").mkdir()
    for version in ("1.0", "2.0"):
        for made in (make_wheel("hello-index", version), make_sdist("hello-index", version)):
            (folder / "dist" / made.filename).write_bytes(made.content)
    installed = """activate "$HOME/own"; pip install --quiet pypicloud"""
    upload = 'twine upload --repository-url "http://$ADDRESS/legacy/" -u admin dist/*'
    return f"{installed}\nbegin 'exec env pypicloud serve'\n{upload}" if serving else installed


@pytest.mark.parametrize(
    ("name", "serving", "expected"),
    [
        (
            "protect",
            True,
            (
                "group:release  read, upload",
                "The user 'ben' isn't allowed to read project 'hello-index'.",
                "authenticated has nothing on hello-index but by default.",
            ),
        ),
        (
            "hold-back",
            False,
            (
                "Held back.",
                "'hello_index-1.0-py3-none-any.whl' is withheld by the rule 'minimum_age'",
                "Successfully downloaded hello-index",
            ),
        ),
        ("restore", True, ("4 files of 1 projects", "all agree.", "admin  admin")),
        ("clean-up", False, ("not among the newest 1 releases", "Restored hello_index-1.0-py3")),
    ],
)
def test_every_command_of_a_how_to(
    name: str, serving: bool, expected: tuple[str, ...], sandbox: Sandbox, shop: Server
) -> None:
    """It does what its reader came for."""
    (folder := sandbox.folder / "reader").mkdir()
    page = HOW_TO / f"{name}.md"
    told = follow(sandbox, shop, page, folder, begun(folder, serving=serving)).output
    for words in expected:
        assert words in told, told


async def test_every_command_of_the_replicas(sandbox: Sandbox, shop: Server) -> None:
    """Two processes, a bucket and a database: what one took the other gives."""
    (folder := sandbox.folder / "reader").mkdir()
    s3.seaweed()
    async with postgresql.database() as url:
        told = await asyncio.to_thread(
            follow,
            *(sandbox, shop, HOW_TO / "replicas.md", folder, begun(folder, serving=False)),
            BUCKET=s3.BUCKET,
            DATABASE=url.partition("//")[2],
        )
    assert "ok     storage: " in told.output
    assert "Successfully installed hello-index-2.0" in told.output, told.output


def test_every_how_to_is_followed() -> None:
    """None is there whose commands nobody runs."""
    marks = test_every_command_of_a_how_to.pytestmark  # type: ignore[attr-defined]  # by pytest
    followed = {str(values[0]) for mark in marks for values in mark.args[1]}
    assert {page.stem for page in HOW_TO.glob("*.md")} == followed | {"replicas"}


@pytest.mark.parametrize(
    "page", [README, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.stem
)
def test_every_command_that_is_named_is_there(page: Path) -> None:
    """In a table or a sentence, ``pypicloud WORDS`` is one of ours, its options too."""
    root = typer.main.get_command(command)
    for named in documents.commands_named(page):
        here, options = root, set[str]()
        for word in re.split(r"[\s,;|]+", named):
            known = getattr(here, "commands", {})
            if word in known:
                here = known[word]
            elif known and re.match(r"[a-z]", word):
                raise AssertionError(f"{page.name}: no command {word!r} in `pypicloud {named}`")
            options |= {word.partition("=")[0]} if word.startswith("--") else set()
        there = {one for option in here.params for one in (*option.opts, *option.secondary_opts)}
        assert options <= there | {"--help", "--version"}, (page.name, named, options - there)


def test_a_block_that_is_not_marked_is_found(tmp_path: Path) -> None:
    """Neither run nor known not to be commands: the page is refused, with the line."""
    page = tmp_path / "page.md"
    for text in (
        "# A\n\n    pip install x\n",
        "# A\n\n```\npip install x\n```\n",
        "```bash\nx\n```\n",
    ):
        page.write_text(text)
        with pytest.raises(AssertionError, match=r"page\.md, line"):
            documents.blocks(page)
    page.write_text(
        "<!-- not run: it takes a day -->\n```sh\nx\n```\n\n<!-- not run: -->\n```sh\ny\n```\n"
    )
    assert [block.text for block in documents.blocks(page)] == ["y\n"]
