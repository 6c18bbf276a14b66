"""One wheel of 2 GiB, made while it is sent: memory of the server and its children, seconds.

Its members are stored, of bytes that do not compress, and listed in RECORD with their
hashes. Compared with writing as many bytes to a file on the same disk, hashed as the server
has to (three digests), and flushed. Needs room for three times its size for a moment.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks import client
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, Server, serve, temporary_folder
from tests.factories import metadata

NAME, VERSION = "large", "1.0"
STEM = f"{NAME}-{VERSION}"
FILENAME = f"{STEM}-py3-none-any.whl"
WHEEL = b"Wheel-Version: 1.0\nGenerator: benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MEMBER = 256 * MIB
_DATE = 0x5021  # 2020-01-01, as archives write it
MOST = 3 * 2**30
"""Bytes; the archive has no 64 bit records."""


@dataclass(frozen=True, slots=True)
class Member:
    """One stored member: ``block`` repeated so many times."""

    name: bytes
    block: bytes
    times: int
    crc: int

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.block) * self.times

    def head(self) -> bytes:
        """What stands before its bytes (APPNOTE 4.3.7)."""
        fixed = (20, 0x800, 0, 0, _DATE, self.crc, self.size, self.size, len(self.name), 0)
        return b"PK\x03\x04" + struct.pack("<5H3L2H", *fixed) + self.name

    def entry(self, offset: int) -> bytes:
        """What the central directory says of it (APPNOTE 4.3.12)."""
        fixed = (0x314, 20, 0x800, 0, 0, _DATE, self.crc, self.size, self.size, len(self.name))
        rest = (0, 0, 0, 0, 0o100644 << 16, offset)
        return b"PK\x01\x02" + struct.pack("<6H3LH4H2L", *fixed, *rest) + self.name


class Wheel:
    """The wheel as a stream."""

    def __init__(self, size: int) -> None:
        block = os.urandom(MIB)
        times = MEMBER // MIB
        count = max(1, round(size / MEMBER))
        crc, digest = 0, hashlib.sha256()
        for _ in range(times):
            crc = zlib.crc32(block, crc)
            digest.update(block)
        members = [
            Member(f"{NAME}/part{number}.bin".encode(), block, times, crc)
            for number in range(count)
        ]
        rows = [f"{member.name.decode()},{_digest(digest.digest())},{MEMBER}" for member in members]
        root = f"{STEM}.dist-info"
        texts = [(f"{root}/METADATA", metadata(NAME, VERSION)), (f"{root}/WHEEL", WHEEL)]
        for name, text in texts:
            rows.append(f"{name},{_digest(hashlib.sha256(text).digest())},{len(text)}")
        record = "\n".join([*rows, f"{root}/RECORD,,", ""]).encode()
        for name, text in [*texts, (f"{root}/RECORD", record)]:
            members.append(Member(name.encode(), text, 1, zlib.crc32(text)))
        self._members = members

    def chunks(self) -> Iterator[bytes]:
        """All its bytes, at most a MiB at a time."""
        offset, directory = 0, b""
        for member in self._members:
            directory += member.entry(offset)
            head = member.head()
            yield head
            for _ in range(member.times):
                yield member.block
            offset += len(head) + member.size
        number = len(self._members)
        end = struct.pack("<4H2LH", 0, 0, number, number, len(directory), offset, 0)
        yield directory + b"PK\x05\x06" + end

    def digests(self) -> tuple[int, str]:
        """Size and sha256."""
        size, digest = 0, hashlib.sha256()
        for chunk in self.chunks():
            size += len(chunk)
            digest.update(chunk)
        return size, digest.hexdigest()


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--mib", type=int, default=2048, help="size of the wheel (2048)")
    chosen = arguments.parse_args()
    size = chosen.mib * MIB
    if size > MOST:
        raise SystemExit("At most 3072 MiB.")
    with temporary_folder() as folder:
        if shutil.disk_usage(folder).free < 3 * size + 2**30:
            raise SystemExit(f"There is no room for three times {chosen.mib} MiB in {folder}.")
        say("making a wheel")
        wheel = Wheel(size)
        size, sha256 = wheel.digests()
        say("the disk alone")
        alone = _alone(wheel, folder / "alone")
        with serve(folder) as server:
            idle = server.memory()
            inspectors = [child.peak for child in server.children()]
            say("uploading")
            before = server.cpu()
            sent, seconds = upload(server, wheel, size, sha256)
            spent = server.cpu() - before
            busy = server.memory()
            children = [child.peak for child in server.children()]
            stored = _stored(folder / "packages")
    if stored != size:
        raise SystemExit(f"{stored} of {size} bytes are in the storage.")
    show(
        "upload_large",
        [
            Figure("wheel", size / MIB, "MiB"),
            Figure("server, peak", busy.peak / MIB, "MiB", "below 200"),
            Figure("server, before the upload", idle.resident / MIB, "MiB"),
            Figure("inspecting child, peak", max(children) / MIB, "MiB"),
            Figure("inspecting child, before the upload", max(inspectors) / MIB, "MiB"),
            Figure("upload, until it is answered", seconds, "s"),
            Figure("of it, until the last byte is sent", sent, "s"),
            Figure("processor, server and children", spent, "s"),
            Figure("disk alone: hashed, written, flushed", alone, "s"),
        ],
        as_json=chosen.json,
    )


def fields(sha256: str) -> dict[str, str]:
    """The form, but for the file."""
    return {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.4",
        "name": NAME,
        "version": VERSION,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": sha256,
    }


def upload(server: Server, wheel: Wheel, size: int, sha256: str) -> tuple[float, float]:
    """Seconds until all is sent, and until the server answers."""
    head = client.form_head(fields(sha256), FILENAME)
    length = len(head) + size + len(client.FORM_TAIL)
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=1800)) as connected:
        began = time.perf_counter()
        connected.sendall(client.post_head(server.port, length) + head)
        for chunk in wheel.chunks():
            connected.sendall(chunk)
        connected.sendall(client.FORM_TAIL)
        sent = time.perf_counter() - began
        answer = connected.recv(4096)
        seconds = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"The server answered {answer.decode(errors='replace')}")
    return sent, seconds


def _alone(wheel: Wheel, path: Path) -> float:
    """Seconds to do the least that an upload needs, in one thread."""
    began = time.perf_counter()
    sha256, blake2, md5 = hashlib.sha256(), hashlib.blake2b(digest_size=32), hashlib.md5()
    with path.open("wb", buffering=0) as file:
        for chunk in wheel.chunks():
            sha256.update(chunk)
            blake2.update(chunk)
            md5.update(chunk)
            file.write(chunk)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    path.unlink()
    return seconds


def _stored(packages: Path) -> int:
    return sum(path.stat().st_size for path in packages.rglob(FILENAME) if path.is_file())


def _digest(digest: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


if __name__ == "__main__":
    main()
