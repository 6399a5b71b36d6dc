"""The deploy hook with real certificates and a simulated web server."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import BALANCER_LOCK
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HOOK = Path(__file__).parents[4] / "roles/asgi_common/files/etc/asgi/app/acme_deploy.py"


def pair(key=None):
    """Return a certificate with its own key, or with another *key*."""
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, own.public_key(), 1, now, now + timedelta(days=9))
        .sign(own, SHA256())
        .public_bytes(Encoding.PEM)
    )
    return certificate, key or own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


OLD, NEW = pair(), pair()


class Host:
    """A live.pem and a lineage of certbot below *root*; the web server *server* rejects the contents in ``refused``."""

    def __init__(self, root, monkeypatch, server):
        spec = importlib.util.spec_from_file_location("acme_deploy", HOOK)
        self.hook = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.hook)
        self.live, self.lineage = root / "tls/live.pem", root / "lineage"
        self.live.parent.mkdir()
        self.lineage.mkdir()
        self.hook.LIVE, self.loaded = self.live, root / "loaded"
        self.server = self.hook.WEB_SERVERS[server]._replace(lock=root / "lock", loaded=self.loaded)
        self.hook.WEB_SERVERS[server] = self.server
        # the hook needs no argument for nginx, the default
        monkeypatch.setattr(sys, "argv", ["acme_deploy.py", *([] if server == "nginx" else [server])])
        self.hook.RELOAD_SECONDS = 0.2
        self.hook.run = self.run
        generations = itertools.count()
        self.hook.workers = lambda _server: {next(generations)}
        self.live.write_bytes(b"".join(OLD))
        self.renew(NEW)
        self.refused = ()
        self.running = True
        self.reload = 0
        self.calls = []
        monkeypatch.setenv("RENEWED_LINEAGE", str(self.lineage))

    def renew(self, pair):
        for name, text in zip(("fullchain.pem", "privkey.pem"), pair, strict=True):
            (self.lineage / name).write_bytes(text)

    def run(self, *command):
        self.calls.append("check" if command == self.server.check else command[1])
        if command[0] == "systemctl":
            assert command[-1] == self.server.unit
        if command[1] == "is-active":
            return SimpleNamespace(returncode=0 if self.running else 3)
        if command[1] == "reload":
            return SimpleNamespace(returncode=self.reload, stderr="Job failed\n")
        status = 1 if self.live.read_bytes() in self.refused else 0
        return SimpleNamespace(returncode=status, stderr="[emerg] bad\n")

    def main(self):
        """Run the hook as certbot does; return its error message."""
        try:
            self.hook.main()
        except SystemExit as exc:
            return exc.code
        return None

    @property
    def served(self):
        return self.live.read_bytes()


@pytest.fixture(params=["nginx", "haproxy"])
def host(request, tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch, request.param)


def test_a_valid_certificate_is_installed_and_loaded(host):
    before = host.live.stat().st_ino
    assert host.main() is None
    assert host.served == b"".join(NEW)
    assert host.calls == ["check", "is-active", "reload"]
    assert host.live.stat().st_ino != before  # a rename has replaced the file
    assert host.live.stat().st_mode & 0o777 == 0o600
    assert host.loaded.exists()
    assert list(host.live.parent.iterdir()) == [host.live]


def test_the_first_certificate(host):
    host.live.unlink()
    assert host.main() is None
    assert host.served == b"".join(NEW)


@pytest.mark.parametrize(
    "new",
    [pair(key=OLD[1]), (b"", NEW[1]), (NEW[0], b""), (b"nonsense", b"nonsense")],
    ids=["key", "chain", "no", "text"],
)
def test_an_invalid_certificate_is_not_installed(host, new):
    host.renew(new)
    assert "the previous ones stay in use" in host.main()
    assert host.served == b"".join(OLD)
    assert host.calls == []
    assert list(host.live.parent.iterdir()) == [host.live]


def test_a_rejected_certificate_is_replaced_with_the_previous_one(host):
    host.refused = (b"".join(NEW),)
    message = host.main()
    assert f"{host.server.name} rejects the certificate" in message
    assert "[emerg] bad" in message
    assert host.served == b"".join(OLD)
    assert "reload" not in host.calls


def test_an_invalid_configuration_keeps_the_renewed_certificate(host):
    host.refused = (b"".join(NEW), b"".join(OLD))
    message = host.main()
    assert "until the configuration is fixed" in message
    assert host.served == b"".join(NEW)
    assert "reload" not in host.calls


def test_a_stopped_server_is_not_started(host):
    host.running = False
    assert host.main() is None
    assert host.served == b"".join(NEW)
    assert "reload" not in host.calls


def test_a_failed_reload_is_reported(host):
    host.reload = 1
    assert "Job failed" in host.main()
    assert not host.loaded.exists()


def test_a_reload_without_new_workers_is_reported(host):
    host.hook.workers = lambda _server: {1}
    assert "did not load the new certificate" in host.main()
    assert not host.loaded.exists()


def test_the_hook_can_run_again(host):
    host.main()
    host.calls.clear()
    before = host.live.stat().st_ino
    assert host.main() is None
    # the hook reloads again, because the previous run may have been interrupted after the rename
    assert host.calls == ["check", "is-active", "reload"]
    assert host.live.stat().st_ino == before


def test_a_missing_lineage_is_reported(host, monkeypatch):
    monkeypatch.setenv("RENEWED_LINEAGE", "/no/such/lineage")
    assert "/no/such/lineage" in host.main()
    assert host.served == b"".join(OLD)


@pytest.fixture
def hook():
    """The unmodified hook."""
    spec = importlib.util.spec_from_file_location("acme_deploy", HOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_certificate_is_in_the_directory_of_the_hook(hook):
    assert str(hook.LIVE) == f"{HOOK.parent}/tls/live.pem"


def test_the_hook_holds_the_lock_of_haproxy(hook):
    assert str(hook.WEB_SERVERS["haproxy"].lock) == BALANCER_LOCK
