"""One wheel of 2 GiB to an object store and back through the service: its memory.

The service streams (PYPICLOUD_DELIVERY=stream). Needs room for twice the wheel for a moment.
"""

from __future__ import annotations

import hashlib
import shutil
import time

import httpx

from benchmarks.object_store import STORES, store
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, Server, serve, temporary_folder
from benchmarks.upload_large import FILENAME, MOST, NAME, Wheel, upload


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--mib", type=int, default=2048, help="size of the wheel (2048)")
    arguments.add_argument("--store", choices=list(STORES), default="s3", help="which (s3)")
    chosen = arguments.parse_args()
    if chosen.mib * MIB > MOST:
        raise SystemExit("At most 3072 MiB.")
    with temporary_folder() as folder, store(chosen.store) as variables:
        if shutil.disk_usage(folder).free < 3 * chosen.mib * MIB:
            raise SystemExit(f"There is no room for three times {chosen.mib} MiB in {folder}.")
        say("making a wheel")
        wheel = Wheel(chosen.mib * MIB)
        size, sha256 = wheel.digests()
        with serve(folder, variables=variables, delivery="stream") as server:
            idle = server.memory().resident
            say("uploading")
            cpu = server.cpu()
            sent, seconds = upload(server, wheel, size, sha256)
            uploading = server.cpu() - cpu
            uploaded = server.memory()
        with serve(folder, variables=variables, delivery="stream") as server:
            before = server.memory().resident
            say("downloading")
            cpu = server.cpu()
            took = _download(server, size, sha256)
            downloading = server.cpu() - cpu
            downloaded = server.memory()
    show(
        "object_store_memory",
        [
            Figure("wheel", size / MIB, "MiB"),
            Figure("server, before the upload", idle / MIB, "MiB"),
            Figure("upload: peak above that", (uploaded.peak - idle) / MIB, "MiB", "below 64"),
            Figure("upload, until it is answered", seconds, "s"),
            Figure("of it, from the last byte on", seconds - sent, "s"),
            Figure("upload, processor", uploading, "s"),
            Figure("download: peak above idle", (downloaded.peak - before) / MIB, "MiB"),
            Figure("download", took, "s"),
            Figure("download, processor", downloading, "s"),
        ],
        as_json=chosen.json,
    )


def _download(server: Server, size: int, sha256: str) -> float:
    """Seconds until the whole file is here, hashed."""
    url = f"http://127.0.0.1:{server.port}/files/{NAME}/{FILENAME}"
    began = time.perf_counter()
    digest, length = hashlib.sha256(), 0
    with httpx.stream("GET", url, trust_env=False, timeout=120) as answer:
        for chunk in answer.iter_bytes(MIB):
            digest.update(chunk)
            length += len(chunk)
    if (answer.status_code, length, digest.hexdigest()) != (200, size, sha256):
        raise SystemExit(f"The server answered {answer.status_code} with {length} bytes.")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
