"""Tokens by every way in which clients say who they are, at projects that few may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.keyrings import with_keyring
from tests.e2e.projects import Release
from tests.e2e.sandbox import Finished, Sandbox, Venv
from tests.e2e.server import ADMIN, READER, STRANGER, UPLOADER, Account, Server
from tests.e2e.test_poetry import PROJECT as POETRY_PROJECT

pytestmark = pytest.mark.e2e

Installer = Callable[[Sandbox, str, str, dict[str, str]], dict[str, str]]
Way = Callable[[Sandbox, Server, Account], tuple[str, dict[str, str]]]


def token_of(server: Server, owner: Account, *permissions: str, **more: object) -> Account:
    """A new token of somebody's, as clients are to be told of it."""
    answer = httpx.post(
        f"{server.url}/api/v1/tokens",
        json={"name": "a client's", "permissions": permissions, **more},
        auth=(owner.username, owner.password),
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return Account("__token__", answer.json()["token"])


def restrict(server: Server, project: str, account: Account) -> None:
    """Let nobody but ``account`` (and the admin) read a project that is there."""
    answer = httpx.put(
        f"{server.url}/api/v1/projects/{project}/grants/user:{account.username}",
        json={"permissions": ["read"]},
        auth=(ADMIN.username, ADMIN.password),
        trust_env=False,
    )
    assert answer.is_success, answer.text


def with_pip(sandbox: Sandbox, url: str, project: str, variables: dict[str, str]) -> dict[str, str]:
    """``pip install``; what stands in a new venv then."""
    venv = sandbox.venv()
    arguments = ("--python", venv.python, "install", "--index-url", url, project)
    finished = sandbox.run("pip", *arguments, cwd=None, **variables)
    assert finished.status == 0, str(finished)
    return venv.installed()


def with_uv(sandbox: Sandbox, url: str, project: str, variables: dict[str, str]) -> dict[str, str]:
    """``uv pip install``; what stands in a new venv then."""
    venv = sandbox.venv()
    finished = uv_install(sandbox, venv, project, f"company={url}", **variables)
    assert finished.status == 0, str(finished)
    return venv.installed()


def uv_install(
    sandbox: Sandbox, venv: Venv, project: str, *indexes: str, **variables: str
) -> Finished:
    """``uv pip install`` from indexes, each asked after the one before it."""
    *first, last = indexes
    options = [word for one in first for word in ("--index", one)]
    options += ["--default-index", last, "--python", str(venv.python)]
    # It reads names of indexes from the command line below no project of its own.
    return sandbox.run("uv", "pip", "install", *options, project, cwd=sandbox.folder, **variables)


def with_poetry(
    sandbox: Sandbox, url: str, project: str, variables: dict[str, str]
) -> dict[str, str]:
    """``poetry add``; what stands in the project's venv then."""
    folder = sandbox.folder / "consumer"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(POETRY_PROJECT.format(dependencies=[], url=url))
    venv = sandbox.venv(folder / ".venv")
    finished = sandbox.run("poetry", "add", project, cwd=folder, **variables)
    assert finished.status == 0, str(finished)
    return venv.installed()


def by_url(_: Sandbox, server: Server, account: Account) -> tuple[str, dict[str, str]]:
    """``https://__token__:pypi-…@…``."""
    return server.simple_as(account), {}


def by_netrc(sandbox: Sandbox, server: Server, account: Account) -> tuple[str, dict[str, str]]:
    """``~/.netrc``."""
    server.write_netrc(sandbox.home, account)
    return server.simple, {}


def by_keyring(sandbox: Sandbox, server: Server, account: Account) -> tuple[str, dict[str, str]]:
    """The keyring, which has the name too."""
    host = urlsplit(server.url).netloc
    return server.simple, with_keyring(sandbox, account, server.simple, server.url, host)


def by_named_keyring(
    sandbox: Sandbox, server: Server, account: Account
) -> tuple[str, dict[str, str]]:
    """The keyring; the URL has the user's name, which uv must be told."""
    _, variables = by_keyring(sandbox, server, account)
    return server.simple.replace("://", f"://{account.username}@"), variables


def by_environment(_: Sandbox, server: Server, account: Account) -> tuple[str, dict[str, str]]:
    """The variables of uv and poetry for an index called ``company``."""
    return server.simple, {
        f"{tool}_COMPANY_{what}": value
        for tool in ("UV_INDEX", "POETRY_HTTP_BASIC")
        for what, value in (("USERNAME", account.username), ("PASSWORD", account.password))
    }


INSTALLERS: dict[str, Installer] = {"pip": with_pip, "uv": with_uv, "poetry": with_poetry}
WAYS: dict[str, Way] = {
    "url": by_url,
    "netrc": by_netrc,
    "keyring": by_keyring,
    "named-keyring": by_named_keyring,
    "environment": by_environment,
}


@pytest.fixture
def closed(private_index: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """The private index with a project of the test's own that READER alone may read."""
    project = "closed-" + "-".join(request.node.callspec.params.values())
    private_index.publish(Release(name=project))
    restrict(private_index, project, READER)
    yield private_index, project
    assert "Traceback" not in private_index.log


@pytest.mark.parametrize(
    ("client", "way"),
    [
        ("pip", "url"),
        ("pip", "netrc"),
        ("pip", "keyring"),
        ("uv", "url"),
        ("uv", "netrc"),
        ("uv", "named-keyring"),
        ("uv", "environment"),
        ("poetry", "keyring"),
        ("poetry", "environment"),
    ],
)
def test_token_installs_from_a_private_project(
    client: str, way: str, sandbox: Sandbox, closed: tuple[Server, str]
) -> None:
    """``__token__`` and a token of its reader's are enough, and stand in no line of the log."""
    server, project = closed
    token = token_of(server, READER, "read", projects=[project])
    url, variables = WAYS[way](sandbox, server, token)
    assert INSTALLERS[client](sandbox, url, project, variables) == {project: "1.0"}
    assert token.password not in server.log


def test_bearer_reads_a_private_project(private_index: Server) -> None:
    """``Authorization: Bearer`` opens page, metadata and file, which a redirect may not do."""
    release = Release(name="closed-bearer")
    private_index.publish(release)
    restrict(private_index, release.name, READER)
    token = token_of(private_index, READER, "read", projects=[release.name])
    bearer = {"Authorization": f"Bearer {token.password}"}
    wheel = release.wheel()
    file = f"{private_index.url}/files/{release.name}/{wheel.filename}"
    page = f"{private_index.simple}{release.name}/"
    with httpx.Client(trust_env=False) as anonymous:
        for url in (page, file, f"{file}.metadata"):
            assert anonymous.get(url).status_code == 401
            assert anonymous.get(url, headers=bearer).status_code == 200
        assert anonymous.get(file, headers=bearer).content == wheel.content


def test_aut_4_uv_stops_at_our_403(
    sandbox: Sandbox, open_index: Server, private_index: Server
) -> None:
    """Known but without the right at the first index, uv does not try the second."""
    release = Release(name="closed-confused")
    private_index.publish(release)
    restrict(private_index, release.name, READER)
    open_index.publish(release)
    venv = sandbox.venv()
    mine, other = private_index.simple_as(UPLOADER), open_index.simple
    finished = uv_install(sandbox, venv, release.name, mine, other)
    assert finished.status != 0, str(finished)
    assert "403" in finished.flat, str(finished)
    assert not venv.installed()


def test_url_5_uv_goes_on_at_our_404(
    sandbox: Sandbox, open_index: Server, private_index: Server
) -> None:
    """What the first index has not for whoever asks it by name, uv takes from the second."""
    release = Release(name="closed-elsewhere")
    open_index.publish(release)
    venv = sandbox.venv()
    mine, other = private_index.simple_as(READER), open_index.simple
    finished = uv_install(sandbox, venv, release.name, mine, other)
    assert venv.installed() == {release.name: "1.0"}, str(finished)


def send(
    sandbox: Sandbox, client: str, folder: Path, server: Server, variables: dict[str, str]
) -> Finished:
    """Upload with whatever credentials the variables lead to, at a repository ``company``."""
    files = sorted((folder / "dist").iterdir())
    if client == "twine":
        where = ("upload", "--disable-progress-bar", "--repository-url", server.legacy)
        return sandbox.run("twine", *where, *files, cwd=None, **variables)
    if client == "uv":
        publish = ("publish", "--trusted-publishing", "never", "--publish-url", server.legacy)
        return sandbox.run("uv", *publish, *files, cwd=None, **variables)
    return sandbox.run(
        "poetry",
        *("publish", "--repository", "company"),
        cwd=folder,
        POETRY_REPOSITORIES_COMPANY_URL=server.legacy,
        **variables,
    )


OWN_VARIABLE = {
    "twine": "TWINE_PASSWORD",
    "uv": "UV_PUBLISH_TOKEN",
    "poetry": "POETRY_PYPI_TOKEN_COMPANY",
}


@pytest.mark.parametrize("client", list(OWN_VARIABLE))
def test_token_uploads_by_the_clients_own_variable(
    client: str, sandbox: Sandbox, private_index: Server
) -> None:
    """The variable that a client has for tokens is enough to begin a project."""
    release = Release(name=f"token-{client}")
    folder = release.write(sandbox.folder / "project")
    token = token_of(private_index, UPLOADER, "upload", creates=True)
    variables = {OWN_VARIABLE[client]: token.password}
    if client == "twine":
        variables["TWINE_USERNAME"] = token.username
    finished = send(sandbox, client, folder, private_index, variables)
    assert finished.status == 0, str(finished)
    assert set(private_index.hashes(release.name)) == {
        made.filename for made in (release.wheel(), release.sdist())
    }


@pytest.mark.parametrize("client", list(OWN_VARIABLE))
def test_token_uploads_from_the_keyring(
    client: str, sandbox: Sandbox, private_index: Server
) -> None:
    """A token that stands in the keyring is enough."""
    release = Release(name=f"keyring-{client}")
    folder = release.write(sandbox.folder / "project")
    token = token_of(private_index, UPLOADER, "upload", creates=True)
    places = (private_index.legacy, urlsplit(private_index.url).netloc, "poetry-repository-company")
    variables = with_keyring(sandbox, token, *places)
    if client == "uv":
        variables["UV_PUBLISH_USERNAME"] = token.username
    finished = send(sandbox, client, folder, private_index, variables)
    assert finished.status == 0, str(finished)
    assert len(private_index.hashes(release.name)) == 2


def test_token_uploads_from_pypirc(sandbox: Sandbox, private_index: Server) -> None:
    """twine takes name and token from ``~/.pypirc``."""
    release = Release(name="pypirc-twine")
    folder = release.write(sandbox.folder / "project")
    token = token_of(private_index, UPLOADER, "upload", creates=True)
    (sandbox.home / ".pypirc").write_text(
        f"[distutils]\nindex-servers = company\n\n[company]\nrepository = {private_index.legacy}\n"
        f"username = {token.username}\npassword = {token.password}\n"
    )
    files = sorted((folder / "dist").iterdir())
    finished = sandbox.run("twine", "upload", "--repository", "company", *files)
    assert finished.status == 0, str(finished)


def test_token_of_another_project_uploads_nothing(sandbox: Sandbox, private_index: Server) -> None:
    """A token for one project is refused at another, and twine shows why."""
    release = Release(name="token-elsewhere")
    folder = release.write(sandbox.folder / "project")
    token = token_of(private_index, UPLOADER, "upload", projects=["something-else"])
    variables = {"TWINE_USERNAME": token.username, "TWINE_PASSWORD": token.password}
    finished = send(sandbox, "twine", folder, private_index, variables)
    assert finished.status != 0
    assert "403" in finished.flat, str(finished)
    assert "This token isn't made to" in finished.flat, str(finished)
    assert private_index.hashes(release.name) == {}


def test_wrong_password_in_the_keyring(sandbox: Sandbox, private_index: Server) -> None:
    """A keyring with a wrong password installs nothing."""
    private_index.publish(Release(name="closed-wrong"))
    url, variables = by_named_keyring(sandbox, private_index, STRANGER)
    finished = uv_install(sandbox, sandbox.venv(), "closed-wrong", url, **variables)
    assert finished.status != 0
    assert "401" in finished.flat, str(finished)
