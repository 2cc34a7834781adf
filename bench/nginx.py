"""The server both proxies stand before: nginx, one worker, keep-alive without limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.topology import Place
from bench.waiting import wait_until

PORT = 8080
DOWNLOAD = "/download"
DOWNLOAD_BYTES = 32 << 20
_BODY = "forty-seven bytes of body, as a small API says."

_CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  default_type text/plain;
  server {{
    listen {port} backlog=4096;
    location = / {{ return 200 "{body}"; }}
    location = {download} {{ root {directory}; }}
  }}
}}
"""


@contextmanager
def nginx(pod: Place, directory: Path) -> Iterator[str]:
    """Serve from `pod` while the context is open; yield the origin, `http://host:port`."""
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(directory=directory, port=PORT, body=_BODY, download=DOWNLOAD)
    )
    with (directory / DOWNLOAD.lstrip("/")).open("wb") as file:
        file.truncate(DOWNLOAD_BYTES)
    log = directory / "nginx.log"
    with pod.running(["nginx", "-c", str(configuration)], log) as process:
        wait_until(lambda: pod.listens_on(PORT), "nginx listens", log, process.poll)
        yield f"http://{pod.address}:{PORT}"
