"""nginx in pods: a configuration with a location for everything a web server does, and its log as records.

Belongs here: its configuration, its files, its start, what it says it received. The same instance serves, and fetches
from other pods as a proxy does.
"""

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.support.software import Log, start
from netra_node.testbed import Testbed

#: Plain; behind a PROXY line; HTTP/2 without TLS; TLS. It listens on the last one last.
PORTS: Final = (80, 81, 82, 443)
BIG: Final = random.Random(11).randbytes(1 << 20)
TEXT: Final = b"".join(b"line %d of a text that can be compressed\n" % n for n in range(2000))
#: 1 January 2020, when every file was changed.
CHANGED: Final = 1_577_836_800
HELLO: Final = b"hello\n"

_CONFIGURATION: Final = """
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
user root;  # an ordinary user's namespace has no other
worker_processes 1;
daemon off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    types {{ text/html html; text/plain txt; application/octet-stream bin; }}
    log_format received escape=json '{{"from":"$remote_addr","head":"$echo_client_request_headers",'
        '"status":$status,"sent":$body_bytes_sent,"by":"$proxy_protocol_addr","http":"$server_protocol",'
        '"upstream":"$upstream_status $upstream_response_length"}}';
    access_log {directory}/access.log received;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    large_client_header_buffers 8 64k;
    client_max_body_size 0;
    client_body_buffer_size 2m;
    keepalive_timeout 60;
    {upstreams}
    server {{
        listen 80; listen 81 proxy_protocol; listen 82 http2;
        listen 443 ssl; ssl_certificate {certificates}/server.pem; ssl_certificate_key {certificates}/server.key;
        root {files};
        error_page 404 /missing.html;
        location /echo {{ echo_read_request_body; echo_request_body; }}
        location /chunked {{ echo one; echo_flush; echo_sleep 0.02; echo two; echo_flush; echo three; }}
        location /trailers {{ add_trailer X-Sum abc; echo one; }}
        location /compressed {{ alias {files}; gzip on; gzip_types text/plain; }}
        # No validators: they would tell when the file was stored.
        location /put {{
            alias {directory}/put; dav_methods PUT DELETE; create_full_put_path on; etag off; add_header Last-Modified "";
        }}
        location /limited {{ alias {directory}/put; client_max_body_size 1k; dav_methods PUT; }}
        location /closing {{ keepalive_timeout 0; alias {files}; }}
        # A tenth of the time that clients here let pass.
        location /impatient {{ keepalive_timeout 20ms; alias {files}; }}
        location /slowly {{ limit_rate 4m; alias {files}; }}
        location /trickle {{ limit_rate 100k; alias {files}; }}
        location /nothing {{ return 204; }}
        location /moved {{ return 301 /hello.txt; }}
        location /gone {{ return 444; }}
        location /teapot {{ return 418 "short and stout\\n"; }}
        location /broken {{ return 500; }}
        location /whoami {{ return 200 "$remote_addr:$remote_port\n"; }}
        {proxies}
    }}
}}
"""
_UPSTREAM: Final = "upstream {name} {{ server {address}:80; keepalive 4; }}"
_PROXIES: Final = """
        location /{name} {{
            proxy_set_header Host server;
            location /{name}/plain/ {{ proxy_pass http://{name}/; }}
            location /{name}/kept/ {{
                proxy_pass http://{name}/; proxy_http_version 1.1;
                proxy_set_header Host server; proxy_set_header Connection "";
            }}
            location /{name}/stream/ {{
                proxy_pass http://{name}/; proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
            }}
        }}
"""


@dataclass
class Nginx:
    """One nginx in one pod, and where it writes."""

    directory: Path
    pid: int = 0

    @property
    def log(self) -> Log:
        return Log(self.directory / "access.log")


def _make_files(directory: Path) -> None:
    """The files that all of them serve, with one time of change, so that validators agree."""
    directory.mkdir()
    (directory / "hello.txt").write_bytes(HELLO)
    (directory / "big.bin").write_bytes(BIG)
    (directory / "text.txt").write_bytes(TEXT)
    (directory / "missing.html").write_text("<p>not here</p>\n")
    for file in directory.iterdir():
        os.utime(file, (CHANGED, CHANGED))


def _make_certificates(directory: Path) -> None:
    """A certificate authority, and a certificate of it for `server`."""
    directory.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(directory, *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=an authority")
    _openssl(
        directory,
        *(*key, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=server"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:server"),
    )


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(
        ("openssl", "req", "-x509", "-days", "2", *arguments),
        cwd=directory,
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def running(bed: Testbed, directory: Path, *pods: str) -> Iterator[dict[str, Nginx]]:
    """One in each of `pods`, with the same files and the same certificate."""
    _make_files(directory / "files")
    _make_certificates(directory / "certificates")
    servers = {pod: _start(bed, pod, directory) for pod in pods}
    try:
        yield servers
    finally:
        for server in servers.values():
            os.kill(server.pid, signal.SIGTERM)


def _start(bed: Testbed, pod: str, shared: Path) -> Nginx:
    """Start one that serves the files of `shared` and fetches from every pod of the bed by its name."""
    directory = shared / pod
    (directory / "put").mkdir(parents=True)
    (directory / "access.log").touch()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory,
            files=f"{shared}/files",
            certificates=f"{shared}/certificates",
            upstreams=_each(bed, _UPSTREAM.format),
            proxies=_each(bed, _PROXIES.format),
        )
    )
    argv = ("nginx", "-e", f"{directory}/error.log", "-c", str(configuration))
    return Nginx(directory, start(bed, pod, argv, PORTS[-1], directory / "error.log"))


def _each(bed: Testbed, write: Callable[..., str]) -> str:
    return "\n".join(write(name=pod.name, address=pod.ipv4) for pod in bed.pods)
