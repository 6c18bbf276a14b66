"""nginx, serving a folder: what a static file costs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server import Server, free_port, launched

_CONF = """\
{user}worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; etag on; gzip_static on; default_type application/octet-stream;
  keepalive_requests 100000000; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    location /ready {{ return 200; }}
    location /simple/ {{ default_type application/vnd.pypi.simple.v1+json; index page; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """One worker that serves ``folder/www``, and packed what lies beside a file as ``.gz``.

    A folder of ``www/simple`` is answered with its file ``page``, as JSON of the Simple API.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        raise SystemExit("This needs nginx (Debian: apt-get install nginx).")
    (folder / "www").mkdir(exist_ok=True)
    port = free_port()
    conf = folder / "nginx.conf"
    user = "" if os.geteuid() else "user root; "
    conf.write_text(_CONF.format(folder=folder, port=port, user=user))
    subprocess.run([program, "-t", "-q", "-c", str(conf)], check=True)
    with launched([program, "-c", str(conf)], folder, port=port, ready="/ready") as server:
        yield server
