# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module acme_certificate on a simulated host: its calls of certbot, the files and the failures."""

from __future__ import annotations

import functools
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._tls import acme as decide
from ansible_collections.asgi.deploy.plugins.modules import acme_certificate as module

DAY = 24 * 60 * 60
DIRECTORY = "https://ca.test/dir"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
PARAMS = {
    "name": "a",
    "state": "present",
    "names": ["a.test"],
    "directory": DIRECTORY,
    "hook": "the hook\n",
    "web_server": "nginx",
    "http01_port": None,
    "key_type": "ecdsa",
    "mail": None,
    "ca_bundle": None,
    "eab_kid": None,
    "eab_hmac_key": None,
}


class Host:
    """A simulated host below *root*, with a certbot that issues certificates, or fails with the result that a test sets."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        self.calls = []
        self.certbot = (0, "", "")
        self.busy = 0
        self.hook = (0, "", "")
        self.hook_inside_certbot = True
        self.programs = True
        self.serial = 0
        self.seen = {}
        monkeypatch.setattr(module, "CERTBOT", root / "etc/letsencrypt")
        monkeypatch.setattr(module, "layout", self.layout)
        monkeypatch.setattr(decide, "SYSTEM_BUNDLE", str(root / "system.crt"))
        monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
        (root / "tmp").mkdir()
        (root / "system.crt").write_text("the system's\n")
        self.write(self.paths["live_pem"], "placeholder")

    def layout(self, name):
        def below(value):
            if isinstance(value, dict):
                return {key: below(each) for key, each in value.items()}
            return f"{self.root}{value}" if value.startswith("/") else value

        return below(layout(name))

    @property
    def paths(self):
        return self.layout("a")

    @property
    def live_pem(self):
        return Path(self.paths["live_pem"]).read_text()

    @property
    def renewal(self):
        return self.root / "etc/letsencrypt/renewal/asgi-a.conf"

    @staticmethod
    def write(path, text):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    def run_command(self, command, environ_update=None, check_rc=False):
        words = command.split() if isinstance(command, str) else command
        if "x509" in words:
            return self.openssl(words)
        self.calls.append(words[1])
        if words[0] == "certbot":
            return self.run_certbot(words, environ_update)
        if "RENEWED_LINEAGE" in (environ_update or {}):
            return self.run_hook()
        return 0, "", ""

    def openssl(self, words):
        path = words[words.index("-in") + 1]
        if "BEGIN" in Path(path).read_text():
            start, end = (
                time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(time.time() + days * DAY)) for days in (-1, 89)
            )
            return 0, f"subject=CN=a\nissuer=CN=CA\nDNS:a.test\nnotBefore={start}\nnotAfter={end}\n", ""
        return 1, "", "no certificate"

    def run_certbot(self, words, environment):
        if self.busy:
            self.busy -= 1
            return 1, "", decide.BUSY
        self.seen = {"words": words}
        if environment:
            self.seen["ca"] = Path(environment["REQUESTS_CA_BUNDLE"]).read_text()
        if "--config" in words:
            file = Path(words[words.index("--config") + 1])
            self.seen["config"] = (file.read_text(), file.stat().st_mode & 0o777)
        if self.certbot[0]:
            return self.certbot
        if words[1] == "delete":
            self.renewal.unlink()
            return self.certbot
        self.serial += 1
        self.write(self.root / "etc/letsencrypt/live/asgi-a/fullchain.pem", f"BEGIN {self.serial}\n")
        self.write(self.root / "etc/letsencrypt/live/asgi-a/privkey.pem", "key\n")
        challenge = "authenticator = webroot"
        if "--standalone" in words:
            challenge = f"authenticator = standalone\nhttp01_port = {words[words.index('--http-01-port') + 1]}"
        self.write(
            self.renewal,
            f"version = 4.0.0\n[renewalparams]\nkey_type = ecdsa\n{challenge}\n"
            f"server = {words[words.index('--server') + 1]}\nrenew_hook = {words[words.index('--deploy-hook') + 1]}\n",
        )
        return (0, "", "") if self.hook_inside_certbot and not self.run_hook()[0] else (0, decide.HOOK_FAILED, "")

    def run_hook(self):
        if self.hook[0] == 0:
            live = self.root / "etc/letsencrypt/live/asgi-a"
            self.write(
                self.paths["live_pem"], "".join((live / f"{each}.pem").read_text() for each in ("fullchain", "privkey"))
            )
        return self.hook

    def run(self, check_mode=False, **params):
        return module.run(
            SimpleNamespace(
                params={**PARAMS, **params},
                check_mode=check_mode,
                tmpdir=str(self.root / "tmp"),
                get_bin_path=lambda name: name if self.programs else None,
                run_command=self.run_command,
            )
        )

    def files(self):
        return {str(path): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_the_first_certificate(host):
    result = host.run()
    assert result["changed"] is True
    assert result["reason"] == "there is none"
    assert host.live_pem == "BEGIN 1\nkey\n"
    assert host.calls == ["certonly"]
    assert Path(host.paths["acme"]["renewal"]["hook"]).read_text() == "the hook\n"
    assert Path(host.paths["acme"]["webroot"]).is_dir()
    assert "ca" not in host.seen


def test_a_second_run_changes_nothing(host):
    host.run()
    before = host.files()
    host.calls.clear()
    assert host.run() == {"changed": False, "reason": "", "deployed": False, "written": []}
    assert host.calls == []
    assert host.files() == before


def test_on_a_balancer_certbot_responds_to_challenges(host):
    balancer = {"web_server": "haproxy", "http01_port": 8402}
    assert host.run(**balancer)["reason"] == "there is none"
    assert not Path(host.paths["acme"]["webroot"]).exists()
    assert host.run(**balancer)["changed"] is False

    host.certbot = (1, "", "no")
    with pytest.raises(
        module.Refused, match=r"on port 8402: allow it .*\nHAProxy still serves the certificate of CN=CA"
    ):
        host.run(**balancer, names=["a.test", "b.test"])


def test_another_name_issues_another_certificate(host):
    host.run()
    assert "lacks b.test" in host.run(names=["a.test", "b.test"])["reason"]
    assert host.live_pem == "BEGIN 2\nkey\n"


@pytest.mark.parametrize("programs", [True, False])
def test_check_mode_changes_nothing(host, programs):
    host.programs = programs
    before = host.files()
    result = host.run(check_mode=True, ca_bundle=AUTHORITY)
    assert result["changed"] is True
    assert len(result["written"]) == 3
    assert (host.calls, host.files()) == ([], before)


def test_without_certbot_the_module_fails(host):
    host.programs = False
    with pytest.raises(module.Refused, match="install Debian's packages first"):
        host.run()


def test_a_failed_issuance_changes_nothing(host):
    host.run()
    before = host.files()
    host.certbot = (1, "", "Saving debug log to x\nValueError: Requesting ca.test/dir: Connection refused")
    with pytest.raises(module.Refused) as caught:
        host.run(names=["a.test", "b.test"])
    message = str(caught.value)
    assert message.startswith(f"{DIRECTORY} issued no certificate for a.test, b.test: ValueError: Requesting")
    assert "nginx still serves the certificate of CN=CA, valid until 20" in message
    assert "Saving debug log" not in message
    assert host.files() == before

    host.certbot = (0, "", "")
    assert host.run(names=["a.test", "b.test"])["changed"] is True


def test_the_module_waits_for_another_certbot(host):
    host.busy = 2
    assert host.run()["changed"] is True
    assert host.calls == ["certonly"] * 3


def test_a_failed_hook_fails_the_module(host):
    host.hook = (1, "", "asgi.deploy: nginx rejects the certificate")
    with pytest.raises(module.Refused, match="nginx rejects the certificate"):
        host.run()
    assert host.live_pem == "placeholder"
    host.hook = (0, "", "")
    # the certificate exists, so the next run only deploys it
    result = host.run()
    assert (result["reason"], result["deployed"]) == ("", True)
    assert host.calls.count("certonly") == 1
    assert host.live_pem == "BEGIN 1\nkey\n"


def test_a_hook_that_failed_within_certbot_runs_again(host):
    host.hook_inside_certbot = False
    host.run()
    assert host.live_pem == "BEGIN 1\nkey\n"


def test_private_authorities_are_trusted_at_each_renewal(host):
    renewal = host.paths["acme"]["renewal"]
    host.run(ca_bundle=AUTHORITY)
    assert host.seen["ca"] == f"the system's\n{AUTHORITY}\n"
    assert Path(renewal["ca_bundle"]).read_text() == f"{AUTHORITY}\n"
    assert "REQUESTS_CA_BUNDLE" in Path(renewal["drop_in"]).read_text()
    assert "daemon-reload" in host.calls

    host.calls.clear()
    result = host.run()
    assert result["written"] == sorted([renewal["ca_bundle"], renewal["drop_in"]])
    assert not Path(renewal["ca_bundle"]).exists()
    assert not Path(renewal["drop_in"]).exists()
    assert host.calls == ["daemon-reload"]


def test_command_lines_contain_no_secrets(host):
    host.run(eab_kid="kid", eab_hmac_key="s3cret")
    assert "s3cret" not in " ".join(host.seen["words"])
    assert host.seen["config"] == ("eab-kid = kid\neab-hmac-key = s3cret\n", 0o600)
    assert [text for text in host.files().values() if b"s3cret" in text] == []


def test_a_retired_certificate_is_kept_and_used_again(host):
    host.run(ca_bundle=AUTHORITY)
    renewal = host.renewal.read_text()
    host.write(host.paths["live_pem"], "the operator's")

    assert host.run(state="retired")["changed"] is True
    assert not decide.renews(decide.parse_renewal(host.renewal.read_text()))
    files = host.paths["acme"]["renewal"]
    assert [Path(files[each]).exists() for each in ("hook", "ca_bundle", "drop_in")] == [False] * 3
    assert host.live_pem == "the operator's"
    assert host.run(state="retired")["changed"] is False

    result = host.run(ca_bundle=AUTHORITY)
    assert (result["changed"], result["reason"], result["deployed"]) == (True, "", True)
    assert host.renewal.read_text() == renewal
    assert host.live_pem == "BEGIN 1\nkey\n"
    assert host.calls.count("certonly") == 1


@pytest.mark.parametrize("state", ["retired", "absent"])
def test_without_a_certificate_there_is_nothing_to_do(host, state):
    before = host.files()
    assert host.run(state=state)["changed"] is False
    assert (host.calls, host.files()) == ([], before)


def test_absent(host):
    host.run()
    before = host.files()
    assert host.run(state="absent", check_mode=True)["changed"] is True
    assert host.files() == before
    host.run(state="absent")
    assert host.calls[-1] == "delete"
    assert not Path(host.paths["acme"]["webroot"]).exists()
    assert not Path(host.paths["acme"]["renewal"]["hook"]).exists()
    assert host.run(state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied"),
        (shutil.Error([("/etc/x", "/tmp/x", "it is a pipe")]), "/etc/x: it is a pipe"),
        (module.Refused("not now"), "not now"),
    ],
)
def test_failures_are_reported(tmp_path, monkeypatch, error, message):
    def fail_json(msg):
        raise SystemExit(msg)

    def run(_module):
        raise error

    failing = SimpleNamespace(fail_json=fail_json)
    failing.reporting = functools.partial(HostModule.reporting, failing)
    monkeypatch.setattr(module, "HostModule", lambda **_options: failing)
    monkeypatch.setattr(module, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(module, "run", run)
    with pytest.raises(SystemExit, match=message):
        module.main()
