# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""certbot's deploy hook: what certbot has just got becomes what nginx serves, or with the argument `haproxy` HAProxy, if
that can serve it.

Written by the Ansible collection asgi.deploy into /etc/asgi/<app>; changes are overwritten. certbot runs it, at the first
certificate as at every renewal, with the directory of the certificate in RENEWED_LINEAGE. It needs nothing but Python.
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
    """What serves LIVE."""

    name: str
    unit: str
    check: tuple[str, ...]
    # Both belong to the module nginx_site or haproxy_site: who changes what it reads, and when it has last read it.
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
    """The new certificate is not served; the message says why, and what is."""


def main() -> None:
    server = WEB_SERVERS[sys.argv[1] if sys.argv[1:] else "nginx"]
    try:
        with os.fdopen(os.open(server.lock, os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            deploy(Path(os.environ["RENEWED_LINEAGE"]), server)
    except (Refused, OSError) as exc:
        sys.exit(f"asgi.deploy: {exc}")


def deploy(lineage: Path, server: WebServer) -> None:
    """Put chain and key of *lineage* into LIVE by one rename, and have *server* load it; raise Refused if it cannot."""
    new = (lineage / "fullchain.pem").read_bytes() + (lineage / "privkey.pem").read_bytes()
    old = LIVE.read_bytes() if LIVE.exists() else None
    if new != old:
        replace(new)
    fault = objection(server)
    if fault and old not in (None, new):
        replace(old, proven=True)
        if not objection(server):
            raise Refused(
                f"{server.name} refuses the certificate in {lineage}, and the former one goes on serving: {fault}"
            )
        # Something else in its files is at fault. The pair is good: whoever mends them gets it with the reload.
        replace(new, proven=True)
    if fault:
        raise Refused(
            f"{LIVE} is renewed, but {server.name} refuses its configuration and serves the former certificate until that "
            f"is mended and {server.unit} reloaded: {fault}"
        )
    reload(server)


def replace(pem: bytes, proven: bool = False) -> None:
    """Make *pem* the content of LIVE; raise Refused, with LIVE untouched, if it cannot be served and is not *proven*."""
    descriptor, temporary = tempfile.mkstemp(dir=LIVE.parent, prefix=f".{LIVE.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        if not proven:
            # that the key is the certificate's, say: as the server will, with the same library
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(temporary)
        os.replace(temporary, LIVE)
    except ssl.SSLError as exc:
        os.unlink(temporary)
        raise Refused(f"the new certificate and key cannot be served, and the former go on serving: {exc}") from exc
    except BaseException:
        os.unlink(temporary)
        raise


def objection(server: WebServer) -> str:
    """Return what *server* has against the files that it would load, the empty string if nothing."""
    if (done := run(*server.check)).returncode == 0:
        return ""
    # HAProxy begins with its version
    return "\n".join(line for line in done.stderr.splitlines() if not line.startswith("[NOTICE]")).strip()


def reload(server: WebServer) -> None:
    """Have *server*, if it runs, load its files, and wait until it has workers that have read them."""
    if run("systemctl", "is-active", "--quiet", server.unit).returncode:
        return  # it reads them when it starts
    asked, before = time.time(), workers(server)
    if (done := run("systemctl", "reload", server.unit)).returncode:
        raise Refused(f"{server.name} was not reloaded and serves the former certificate: {done.stderr.strip()}")
    while not workers(server) - before:
        if time.time() - asked > RELOAD_SECONDS:
            raise Refused(f"{server.name} did not load the new certificate; {server.log} may say why")
        time.sleep(0.05)
    server.loaded.touch()
    os.utime(server.loaded, (asked, asked))


def workers(server: WebServer) -> set[str]:
    """Return the process ids of the workers of *server*."""
    master = run("systemctl", "show", "--value", "--property=MainPID", server.unit).stdout.strip()
    return set(Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split())


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
