"""A page of the list of blobs, read in a thread: the SDK would hold up the event loop."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote

from azure.storage.blob import BlobProperties

from app.storage.azure.failures import WHO, Failed


class Found(NamedTuple):
    """What is known of a blob."""

    name: str
    size: int
    modified: datetime
    etag: str
    metadata: Mapping[str, str]


class Page(NamedTuple):
    """Some of the blobs of a list; ``following`` is where the next ones begin."""

    blobs: Sequence[Found]
    following: str | None


def parse(body: bytes) -> Page:
    """The page that an answer of List Blobs holds; Failed where it is none."""
    try:
        root = ET.fromstring(body)  # noqa: S314  # the store's own; expat bounds entities
        blobs = [_found(blob) for blob in root.iterfind("Blobs/Blob")]
    except (ET.ParseError, ValueError, TypeError) as error:
        raise Failed(f"{WHO} answers with no list ({type(error).__name__})") from None
    return Page(blobs, root.findtext("NextMarker") or None)


def described(found: BlobProperties) -> Found:
    """The same of what the SDK knows of a blob."""
    modified: datetime = found.last_modified
    return Found(str(found.name), found.size, modified, found.etag, found.metadata or {})


def _found(blob: ET.Element) -> Found:
    name = blob.find("Name")
    text = "" if name is None else name.text or ""
    encoded = name is not None and name.get("Encoded") == "true"
    return Found(
        unquote(text) if encoded else text,
        int(blob.findtext("Properties/Content-Length", "")),
        parsedate_to_datetime(blob.findtext("Properties/Last-Modified", "")),
        blob.findtext("Properties/Etag", ""),
        {entry.tag: entry.text or "" for entry in blob.iterfind("Metadata/*")},
    )
