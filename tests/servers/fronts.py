"""HAProxy and nginx before replicas, by the examples in ``deploy/``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trustme

from tests.servers.running import ROOT, Running, free_ports, launch

DEPLOY = ROOT / "deploy"
LISTENS = "10.0.0.5:443"
REPLICAS = ("10.0.0.11:8000", "10.0.0.12:8000", "10.0.0.13:8000")
"""The addresses that the examples have."""

_AROUND = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

Start = Callable[[Path, Sequence[int]], Running]


def start_haproxy(folder: Path, replicas: Sequence[int]) -> Running:
    """HAProxy before three replicas on these ports of loopback."""

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        _configure_haproxy(folder, ports["https"], replicas)
        return [*_haproxy(folder), "-db"]

    return launch(folder, ["https"], command, lambda ports: _connect(ports["https"]))


def start_nginx(folder: Path, replicas: Sequence[int]) -> Running:
    """The same with nginx."""

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        _configure_nginx(folder, ports["https"], replicas)
        return _nginx(folder)

    return launch(folder, ["https"], command, lambda ports: _connect(ports["https"]))


FRONTS: Mapping[str, Start] = {"haproxy": start_haproxy, "nginx": start_nginx}


def checked(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the program itself says of the example, which listens on loopback instead."""
    (port,) = free_ports(1)  # nginx tries whether it could listen
    if name == "haproxy":
        _configure_haproxy(folder, port, ())
        command = [*_haproxy(folder), "-c"]
    else:
        _configure_nginx(folder, port, ())
        command = [*_nginx(folder), "-t"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def binary(name: str) -> str:
    """The program; Debian keeps such where only root looks."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise AssertionError(f"Tests need {name} (Debian: apt-get install {name}).")
    return found


def _haproxy(folder: Path) -> list[str | Path]:
    return [binary("haproxy"), "-f", folder / "haproxy.cfg"]


def _nginx(folder: Path) -> list[str | Path]:
    return [binary("nginx"), "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]


def _configure_haproxy(folder: Path, port: int, replicas: Sequence[int]) -> None:
    _certify(folder)
    text = _placed((DEPLOY / "haproxy.cfg").read_text(), port, replicas)
    text = text.replace("/etc/haproxy/pypi.pem", str(folder / "pypi.pem"))
    (folder / "haproxy.cfg").write_text(text)


def _configure_nginx(folder: Path, port: int, replicas: Sequence[int]) -> None:
    _certify(folder)
    text = _placed((DEPLOY / "nginx.conf").read_text(), port, replicas)
    text = text.replace("/etc/nginx/pypi", str(folder / "pypi"))
    (folder / "site.conf").write_text(text)
    _write_around(folder)


def _write_around(folder: Path) -> None:
    # Workers of a server that root starts give up its rights, and with them this folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + _AROUND.format(folder=folder))


def _placed(text: str, port: int, replicas: Sequence[int]) -> str:
    assert LISTENS in text
    text = text.replace(LISTENS, f"127.0.0.1:{port}")
    for address, replica in zip(REPLICAS, replicas, strict=False):
        assert address in text
        text = text.replace(address, f"127.0.0.1:{replica}")
    return text


def _certify(folder: Path) -> None:
    """A certificate of nobody's; HAProxy wants it in one file with its key, nginx in two."""
    if (folder / "pypi.pem").exists():
        return
    leaf = trustme.CA().issue_cert("127.0.0.1", "localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "pypi.pem"))
    leaf.private_key_pem.write_to_path(str(folder / "pypi.key"))
    for pem in leaf.cert_chain_pems:
        pem.write_to_path(str(folder / "pypi.crt"), append=True)


def _connect(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


def start_sending(folder: Path, port: int, stored: Path) -> Running:
    """nginx before one service, whose files it sends itself (``x-accel-redirect``)."""
    manual = (ROOT / "docs" / "storage.md").read_text()
    location = manual.partition("location /_stored/")[2].partition("```")[0]

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        inside = location.replace("/var/lib/pypicloud/packages/", f"{stored}/")
        (folder / "site.conf").write_text(
            f"server {{ listen 127.0.0.1:{ports['http']};\n"
            f"location / {{ proxy_pass http://127.0.0.1:{port}; }}\n"
            f"location /_stored/{inside} }}\n"
        )
        _write_around(folder)
        return _nginx(folder)

    return launch(folder, ["http"], command, lambda ports: _connect(ports["http"]))
