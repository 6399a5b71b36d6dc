"""certbot's deploy hook, with real certificates and a web server that says what the test wants."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.layout import BALANCER_LOCK
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HOOK = Path(__file__).parents[4] / "roles/asgi_proxy/files/etc/asgi/app/acme_deploy.py"


def pair(key=None):
    """Return a certificate and the key that it was made for, or another *key*."""
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
    """A live.pem and a lineage of certbot below *root*; its *server* accepts everything but what is in ``refused``."""

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
        # nginx goes without saying
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
        """Run the hook as certbot does; return what it objects to."""
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


def test_a_good_pair_is_swapped_in_and_loaded(host):
    before = host.live.stat().st_ino
    assert host.main() is None
    assert host.served == b"".join(NEW)
    assert host.calls == ["check", "is-active", "reload"]
    assert host.live.stat().st_ino != before  # by a rename
    assert host.live.stat().st_mode & 0o777 == 0o600
    assert host.loaded.exists()
    assert list(host.live.parent.iterdir()) == [host.live]


def test_the_first_certificate_needs_none_before(host):
    host.live.unlink()
    assert host.main() is None
    assert host.served == b"".join(NEW)


@pytest.mark.parametrize(
    "new",
    [pair(key=OLD[1]), (b"", NEW[1]), (NEW[0], b""), (b"nonsense", b"nonsense")],
    ids=["key", "chain", "no", "text"],
)
def test_a_pair_that_cannot_be_served_is_not_swapped_in(host, new):
    host.renew(new)
    assert "the former go on serving" in host.main()
    assert host.served == b"".join(OLD)
    assert host.calls == []
    assert list(host.live.parent.iterdir()) == [host.live]


def test_what_the_server_refuses_is_swapped_out_again(host):
    host.refused = (b"".join(NEW),)
    said = host.main()
    assert f"{host.server.name} refuses the certificate" in said
    assert "[emerg] bad" in said
    assert host.served == b"".join(OLD)
    assert "reload" not in host.calls


def test_a_fault_elsewhere_in_its_files_does_not_cost_the_renewal(host):
    host.refused = (b"".join(NEW), b"".join(OLD))
    said = host.main()
    assert "until that is mended" in said
    assert host.served == b"".join(NEW)
    assert "reload" not in host.calls


def test_a_stopped_server_is_left_alone(host):
    host.running = False
    assert host.main() is None
    assert host.served == b"".join(NEW)
    assert "reload" not in host.calls


def test_a_reload_that_fails_is_told(host):
    host.reload = 1
    assert "Job failed" in host.main()
    assert not host.loaded.exists()


def test_a_reload_that_gives_no_new_workers_is_told(host):
    host.hook.workers = lambda _server: {1}
    assert "did not load the new certificate" in host.main()
    assert not host.loaded.exists()


def test_it_can_be_repeated(host):
    host.main()
    host.calls.clear()
    before = host.live.stat().st_ino
    assert host.main() is None
    # it was interrupted after the swap, perhaps
    assert host.calls == ["check", "is-active", "reload"]
    assert host.live.stat().st_ino == before


def test_a_lineage_that_is_gone_is_told(host, monkeypatch):
    monkeypatch.setenv("RENEWED_LINEAGE", "/no/such/lineage")
    assert "/no/such/lineage" in host.main()
    assert host.served == b"".join(OLD)


@pytest.fixture
def hook():
    """The hook as it is, of which nothing is replaced."""
    spec = importlib.util.spec_from_file_location("acme_deploy", HOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_finds_the_certificate_beside_itself(hook):
    assert str(hook.LIVE) == f"{HOOK.parent}/tls/live.pem"


def test_it_reloads_haproxy_under_the_lock_of_the_others(hook):
    assert str(hook.WEB_SERVERS["haproxy"].lock) == BALANCER_LOCK
