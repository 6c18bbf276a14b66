"""``pypicloud upload`` and ``pypicloud download``: a thin client of a running index."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin

import typer
from packaging.utils import NormalizedName

from app import errors, names
from app.cli import client, opening
from app.cli.client import Client, Refused
from app.cli.showing import bar, plain
from app.index.adopting_names import Named, Unfit, identify
from app.index.legacy import Facts

CHUNK = 2**20
SIMPLE = "application/vnd.pypi.simple.v1+json"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for each file.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A file on its way to the index."""

    path: Path
    named: Named
    sha256: str


def upload(
    files: Annotated[list[Path], typer.Argument(help="Wheels and sdists.")],
    url: client.Url = "",
    username: client.User = "",
    as_json: Json = False,
) -> None:
    """Upload distributions. The same file again succeeds and changes nothing.

    All are looked at before the first is sent. Ends with 1 when one was refused.
    """
    with opening.one_line_errors():
        parcels = [_parcel(path) for path in files]
        index = client.opened(url, username)
    refused = False
    for parcel in parcels:
        with opening.one_line_errors():
            try:
                _send(index, parcel)
                reason = None
            except Refused as why:
                reason, refused = str(why), True
        _say(parcel.path.name, "uploaded", reason, as_json)
    if refused:
        raise typer.Exit(1)


def download(
    projects: Annotated[list[str], typer.Argument(help="NAME, or NAME==VERSION.")],
    to: Annotated[Path, typer.Option("--to", "-d", help="The folder for the files.")] = Path(),
    url: client.Url = "",
    username: client.User = "",
    as_json: Json = False,
) -> None:
    """Download every file of a release, of the newest where none is named; hashes are verified.

    Files that are there already are not fetched again.
    """
    with opening.one_line_errors():
        index = client.opened(url, username)
        try:
            to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.Invalid(f"{to} cannot be used: {error.strerror}") from error
        for wanted in projects:
            name, _, version = wanted.partition("==")
            for file in _release(index, names.normalize(name.strip()), version.strip()):
                state = _fetch(index, file, to)
                _say(file["filename"], state, None, as_json)


def _parcel(path: Path) -> Parcel:
    filename = path.name
    digest = hashlib.md5(filename.encode(), usedforsecurity=False).hexdigest()[:4]
    sha256 = hashlib.sha256()
    try:
        with path.open("rb") as file:
            named = identify(f"{digest}/{filename}", Facts())
            while chunk := file.read(CHUNK):
                sha256.update(chunk)
    except Unfit as why:
        raise errors.Invalid(f"{path}: {why}") from None
    except OSError as error:
        raise errors.Invalid(f"{path} cannot be read: {error.strerror}") from error
    return Parcel(path=path, named=named, sha256=sha256.hexdigest())


def _send(index: Client, parcel: Parcel) -> None:
    named, boundary = parcel.named, secrets.token_hex(16)
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": named.project,
        "version": named.version,
        "filetype": named.kind.value,
        "pyversion": named.python_version,
        "sha256_digest": parcel.sha256,
    }
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
        f'filename="{parcel.path.name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    first, last = head.encode(), f"\r\n--{boundary}--\r\n".encode()

    length = parcel.path.stat().st_size

    def chunks() -> Iterator[bytes]:
        yield first
        # No longer than the bytes go: afterwards somebody may be asked for a password.
        with parcel.path.open("rb") as file, bar() as shown:
            task = shown.add_task(parcel.path.name, total=length)
            while chunk := file.read(CHUNK):
                yield chunk
                shown.advance(task, len(chunk))
        yield last

    size = len(first) + length + len(last)
    index.post("/legacy/", size, f"multipart/form-data; boundary={boundary}", chunks)


def _release(index: Client, name: NormalizedName, version: str) -> list[Mapping[str, Any]]:
    page = f"{index.url}/simple/{name}/"
    with index.ask("GET", page, headers={"Accept": SIMPLE}) as answer:
        listing = json.loads(answer.read(client.LARGEST))
    files = [file for file in listing["files"] if version or not file.get("yanked")]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for file in files:
        named = _version(name, file["filename"])
        found.setdefault(names.canonical_version(named), []).append(
            {**file, "url": urljoin(page, file["url"])}
        )
    if version:
        chosen = found.get(names.canonical_version(version))
    else:
        best = max(found, key=lambda one: names.rank(one, yanked=False), default=None)
        chosen = found[best] if best is not None else None
    if not chosen:
        raise errors.ReleaseNotFound(name, version or "(any)")
    return chosen


def _version(name: NormalizedName, filename: str) -> str:
    try:
        return identify(filename, Facts(name=name)).version
    except Unfit:
        return ""


def _fetch(index: Client, file: Mapping[str, Any], folder: Path) -> str:
    filename, wanted = str(file["filename"]), str(file["hashes"].get("sha256", ""))
    if not names.is_filename(filename):
        raise errors.Invalid(f"The index lists what is no filename: {filename!r:.100}")
    path, partial = folder / filename, folder / f".{filename}.part"
    try:
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            return "there already"
        digest = hashlib.sha256()
        with partial.open("wb") as kept, bar() as shown:
            task = shown.add_task(filename, total=file.get("size"))
            for chunk in index.download(str(file["url"])):
                digest.update(chunk)
                kept.write(chunk)
                shown.advance(task, len(chunk))
        if wanted and digest.hexdigest() != wanted:
            raise errors.BlobDamaged(f"{filename}: its bytes are not those that the page lists.")
        partial.replace(path)
    except OSError as error:
        raise errors.Invalid(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return "downloaded"


def _say(filename: str, state: str, reason: str | None, as_json: bool) -> None:
    if as_json:
        state = "refused" if reason else state
        typer.echo(json.dumps({"filename": filename, "state": state, "reason": reason}))
    elif reason:
        typer.echo(plain(f"refused: {filename}: {reason}"), err=True)
    else:
        typer.echo(plain(f"{state}: {filename}"))
