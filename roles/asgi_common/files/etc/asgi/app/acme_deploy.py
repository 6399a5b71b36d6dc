# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploy hook of certbot: installs the new certificate for nginx, or with the argument `haproxy` for HAProxy, if it is valid.

Written by the Ansible collection asgi.deploy to /etc/asgi/<app>; changes are overwritten. certbot runs it after the first issuance and
each renewal, with the directory of the certificate in RENEWED_LINEAGE. It only requires Python.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

LIVE = Path(__file__).resolve().parent / "tls/live.pem"
RELOAD_SECONDS = 30


class WebServer(NamedTuple):
    """The server that uses LIVE."""

    name: str
    unit: str
    check: tuple[str, ...]
    # Files of the module nginx_site or haproxy_site: the lock for changes, and the time of the last load.
    lock: Path
    loaded: Path
    log: str


WEB_SERVERS = {
    "nginx": WebServer(
        "nginx",
        "nginx.service",
        ("/usr/sbin/nginx", "-t", "-q"),
        Path("/run/asgi-nginx.lock"),
        Path("/run/asgi-nginx.loaded"),
        "/var/log/nginx/error.log",
    ),
    "haproxy": WebServer(
        "HAProxy",
        "haproxy.service",
        ("/usr/sbin/haproxy", "-c", "-f", "/etc/haproxy/asgi"),
        Path("/run/asgi-haproxy.lock"),
        Path("/run/asgi-haproxy.loaded"),
        "its journal",
    ),
}


class Refused(Exception):
    """The new certificate is not in use; the message contains the reason and the certificate in use."""


def main() -> None:
    server = WEB_SERVERS[sys.argv[1] if sys.argv[1:] else "nginx"]
    try:
        with os.fdopen(os.open(server.lock, os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            deploy(Path(os.environ["RENEWED_LINEAGE"]), server)
    except (Refused, OSError) as exc:
        sys.exit(f"asgi.deploy: {exc}")


def deploy(lineage: Path, server: WebServer) -> None:
    """Write chain and key of *lineage* to LIVE with one rename and reload *server*; raise Refused if *server* cannot use them."""
    new = (lineage / "fullchain.pem").read_bytes() + (lineage / "privkey.pem").read_bytes()
    old = LIVE.read_bytes() if LIVE.exists() else None
    if new != old:
        replace(new)
    fault = check(server)
    if fault and old not in (None, new):
        replace(old, proven=True)
        if not check(server):
            raise Refused(f"{server.name} rejects the certificate in {lineage} and keeps the previous one: {fault}")
        # The rest of the configuration is invalid, but the certificate is valid. The reload after its repair loads the certificate.
        replace(new, proven=True)
    if fault:
        raise Refused(
            f"{LIVE} is renewed, but {server.name} rejects its configuration and serves the previous certificate until the configuration "
            f"is fixed and {server.unit} is reloaded: {fault}"
        )
    reload(server)


def replace(pem: bytes, proven: bool = False) -> None:
    """Write *pem* to LIVE; raise Refused without a change if *pem* is invalid, which is not checked if *proven* is true."""
    descriptor, temporary = tempfile.mkstemp(dir=LIVE.parent, prefix=f".{LIVE.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        if not proven:
            # with the library of the server; checks, for example, that key and certificate match
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(temporary)
        os.replace(temporary, LIVE)
    except ssl.SSLError as exc:
        os.unlink(temporary)
        raise Refused(f"the new certificate and key are invalid, and the previous ones stay in use: {exc}") from exc
    except BaseException:
        os.unlink(temporary)
        raise


def check(server: WebServer) -> str:
    """Return the errors of *server* in its current files, "" if there are none."""
    if (done := run(*server.check)).returncode == 0:
        return ""
    # HAProxy prints its version first
    return "\n".join(line for line in done.stderr.splitlines() if not line.startswith("[NOTICE]")).strip()


def reload(server: WebServer) -> None:
    """Reload *server* if it runs, and wait until it has new workers."""
    if run("systemctl", "is-active", "--quiet", server.unit).returncode:
        return  # the server loads the files when it starts
    load_time, began, before = time.time(), time.monotonic(), workers(server)
    if (done := run("systemctl", "reload", server.unit)).returncode:
        raise Refused(f"{server.name} was not reloaded and serves the previous certificate: {done.stderr.strip()}")
    while not workers(server) - before:
        if time.monotonic() - began > RELOAD_SECONDS:
            raise Refused(f"{server.name} did not load the new certificate; see {server.log}")
        time.sleep(0.05)
    server.loaded.touch()
    os.utime(server.loaded, (load_time, load_time))


def workers(server: WebServer) -> set[str]:
    """Return the process ids of the workers of *server*."""
    master = run("systemctl", "show", "--value", "--property=MainPID", server.unit).stdout.strip()
    return set(Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split())


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
