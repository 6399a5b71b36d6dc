"""doctor.yml on healthy machines, and faults planted on one of them: found by their checks, and repaired again.

Each fault alone, and every other one, is a case of the unit tests. Here several are planted at once, each of another check.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

INVENTORY = Path(__file__).parents[1] / "inventory"

# what the commands below begin with
NAMES = """
set -eu
live=$(basename "$(readlink /run/hello/live.sock)" .sock)
case $live in blue) idle=green;; *) idle=blue;; esac
config=$(readlink -f "/srv/hello/slots/$live/config")
release=$(readlink -f "/srv/hello/slots/$live/release")
master=$(systemctl show --value --property=MainPID "hello@$live.service")
drop_in=/etc/systemd/system/hello@$live.service.d/slot.conf
# put standard input over a file until it is unmounted: the file and its times stay as they are
over() {
    copy=$(mktemp)
    cat >"$copy"
    chmod --reference="$1" "$copy"
    chown --reference="$1" "$copy"
    mount --bind "$copy" "$1"
    rm "$copy"
}
"""

# name -> how to plant it, how to repair it, which checks say what then
FAULTS = {
    "nginx may not connect": (
        "chmod 0600 /run/hello/$live.sock",
        "chmod 0660 /run/hello/$live.sock",
        {"permissions": "fail", "health": "fail"},
    ),
    "the environment is readable": ("chmod 0644 $config/env", "chmod 0640 $config/env", {"permissions": "fail"}),
    "the app may change its releases": (
        "chown hello /srv/hello/releases",
        "chown root /srv/hello/releases",
        {"permissions": "fail"},
    ),
    "nginx is stopped": ("systemctl stop nginx", "systemctl start nginx", {"units": "fail", "health": "fail"}),
    "the slot does not start at boot": (
        "systemctl disable --quiet hello@$live.service",
        "systemctl enable --quiet hello@$live.service",
        {"boot": "fail"},
    ),
    "the link is forgotten at a reboot": (
        "echo | over /etc/tmpfiles.d/asgi-hello.conf",
        "umount /etc/tmpfiles.d/asgi-hello.conf",
        {"boot": "fail"},
    ),
    "the idle slot listens": (
        "systemctl start hello@$idle.socket",
        "systemctl stop hello@$idle.socket",
        {"idle slot": "warn"},
    ),
    "static files of another release": (
        "ln -sfn releases/other /srv/hello/current",
        "ln -sfn releases/$(basename $release) /srv/hello/current",
        {"traffic": "fail"},
    ),
    "a worker too many": ("kill -TTIN $master", "kill -TTOU $master", {"workers": "warn"}),
    "nginx would not start again": (
        "echo nonsense >/etc/nginx/conf.d/zz-broken.conf",
        "rm /etc/nginx/conf.d/zz-broken.conf",
        {"nginx -t": "fail"},
    ),
    "the sandbox was edited": (
        "sed s/^ProtectHome=.*// $drop_in | over $drop_in",
        "umount $drop_in; systemctl daemon-reload",
        {"unit files": "fail"},
    ),
    "the app closes idle connections first": (
        "site=/etc/nginx/conf.d/asgi-hello.conf; sed 's/keepalive_timeout 2s/keepalive_timeout 20s/' $site | over $site",
        "umount /etc/nginx/conf.d/asgi-hello.conf",
        {"timeouts": "fail"},
    ),
    "systemd kills before the drain ends": (
        "sed 's/^graceful_timeout = .*/graceful_timeout = 100/' $config/gunicorn.conf.py | over $config/gunicorn.conf.py",
        "umount $config/gunicorn.conf.py",
        {"timeouts": "fail"},
    ),
    "a worker takes more than is counted": (
        """echo '{"workers": 2, "worker_memory": 4, "reason": "2"}' | over $config/plan.json""",
        "umount $config/plan.json",
        {"memory": "warn"},
    ),
    "the log knows nothing": (
        "echo '[]' | over /srv/hello/releases.json",
        "umount /srv/hello/releases.json",
        {"release log": "fail"},
    ),
    "the log is broken": (
        "echo '[' | over /srv/hello/releases.json",
        "umount /srv/hello/releases.json",
        {"release log": "fail"},
    ),
    "a lock that was left": ("echo by ann >/srv/hello/.lock", "truncate --size=0 /srv/hello/.lock", {"locks": "warn"}),
    "somebody deploys": (
        "systemd-run --quiet --unit=holder flock /srv/hello/.lock sleep 60; sleep 0.2",
        "systemctl stop holder.service",
        {"locks": "warn"},
    ),
    "a release that was never completed": (
        "mkdir /srv/hello/releases/half",
        "rmdir /srv/hello/releases/half",
        {"releases": "warn"},
    ),
    "a configuration that was never completed": (
        "mkdir /srv/hello/configs/.new-x",
        "rmdir /srv/hello/configs/.new-x",
        {"releases": "warn"},
    ),
    "another Python": (
        """sed 's/"python": "[0-9.]*"/"python": "3.9.2"/' $release/release.json | over $release/release.json""",
        "umount $release/release.json",
        {"releases": "fail"},
    ),
    "a timer that is stopped": (
        "printf '[Timer]\\nOnCalendar=daily\\n' >/etc/systemd/system/asgi-test.timer; systemctl daemon-reload",
        "rm /etc/systemd/system/asgi-test.timer; systemctl daemon-reload",
        {"timers": "fail"},
    ),
}


def rounds():
    """Return the faults in as few rounds as have each check once."""
    found = []
    for name, (_plant, _repair, expected) in FAULTS.items():
        free = [names for names in found if not any(expected.keys() & FAULTS[other][2].keys() for other in names)]
        if free:
            free[0].append(name)
        else:
            found.append([name])
    return found


def examine(app):
    """Return the checks that find something amiss, by name, with the worst of their verdicts."""
    machine = f"{app.machine.removeprefix('asgi-default-')}-{app.name}"
    arguments = {"name": app.name, "site": {"host": app.server_name, "port": 443}}
    command = ["ansible", machine, "-i", INVENTORY, "--become", "-m", "asgi.deploy.doctor", "-a", json.dumps(arguments)]
    environment = {
        **os.environ,
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [play] = json.loads(done.stdout)["plays"]
    verdicts = play["tasks"][0]["hosts"][machine]["verdicts"]
    # "warn" and then "fail", so that the worse one stays
    amiss = sorted(
        (each for each in verdicts if each["verdict"] != "ok"), key=lambda each: each["verdict"], reverse=True
    )
    return {each["check"]: each["verdict"] for each in amiss}


@pytest.fixture
def planted(one_hello):
    """Plant a fault; what the test has planted is repaired when it ends."""
    repairs = []

    def plant(fault, repair):
        repairs.append(repair)
        one_hello.host.check_output("sh -c %s", NAMES + fault)

    yield plant
    for repair in reversed(repairs):
        one_hello.host.check_output("sh -c %s", NAMES + repair)


def test_healthy_machines_have_nothing_amiss(one_hello, playbook, tmp_path):
    before = one_hello.fingerprint()

    status, said = playbook(
        "doctor", asgi_doctor_format="json", asgi_doctor_file=os.path.relpath(tmp_path / "doctor.json")
    )

    assert status == 0, said
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert [each for each in found if each["verdict"] != "ok"] == []
    assert {each["host"] for each in found} == {f"debian{n}-{name}" for n in (12, 13) for name in ("hello", "titiler")}
    assert len({each["check"] for each in found}) > 20
    assert one_hello.fingerprint() == before


@pytest.mark.parametrize("names", rounds(), ids="; ".join)
def test_every_fault_is_found(one_hello, planted, names):
    expected = {}
    for name in names:
        plant, repair, its = FAULTS[name]
        planted(plant, repair)
        expected |= its

    assert examine(one_hello) == expected


def expired(name):
    """Return a certificate that expired yesterday, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (certificate.public_bytes(pem) + secret).decode()


def test_a_failure_ends_the_playbook_with_an_error_and_drift_is_a_warning(one_hello, planted, playbook):
    path = "/etc/asgi/hello/tls/live.pem"
    planted(f"echo '{expired(one_hello.server_name)}' | over {path}", f"umount {path}")

    changes = {"asgi_server_keepalive": 20, "asgi_proxy_body_size": "11m"}
    status, said = playbook("doctor", "--limit", "debian12-hello", **changes)

    assert status != 0
    assert "live.pem has expired" in said
    assert "slot: site.yml would activate release" in said
    assert "site: site.yml would change /etc/nginx/conf.d/asgi-hello.conf" in said
    assert "hello has 1: certificate" in said, "a warning is no error"


def test_every_fault_is_repaired(one_hello):
    assert examine(one_hello) == {}
