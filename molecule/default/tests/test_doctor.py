"""doctor.yml reports no problem on healthy machines, and detects planted faults.

The unit tests cover each fault separately. Here each round plants several faults of different checks at once.
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

# prefix of the commands below
PRELUDE = """
set -eu
live=$(basename "$(readlink /run/hello/live.sock)" .sock)
case $live in blue) idle=green;; *) idle=blue;; esac
config=$(readlink -f "/srv/hello/slots/$live/config")
release=$(readlink -f "/srv/hello/slots/$live/release")
master=$(systemctl show --value --property=MainPID "hello@$live.service")
drop_in=/etc/systemd/system/hello@$live.service.d/slot.conf
# mounts standard input over a file, so that the file and its times do not change
over() {
    copy=$(mktemp)
    cat >"$copy"
    chmod --reference="$1" "$copy"
    chown --reference="$1" "$copy"
    mount --bind "$copy" "$1"
    rm "$copy"
}
"""

# name -> command that plants it, command that repairs it, verdicts of the checks
FAULTS = {
    "nginx may not connect": (
        "chmod 0600 /run/hello/$live.sock",
        "chmod 0660 /run/hello/$live.sock",
        {"permissions": "fail", "health": "fail"},
    ),
    "the environment is world-readable": ("chmod 0644 $config/env", "chmod 0640 $config/env", {"permissions": "fail"}),
    "the app can change its releases": (
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
    "the link is missing after a reboot": (
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
    "one worker too many": ("kill -TTIN $master", "kill -TTOU $master", {"workers": "warn"}),
    "nginx would not restart": (
        "echo nonsense >/etc/nginx/conf.d/zz-broken.conf",
        "rm /etc/nginx/conf.d/zz-broken.conf",
        {"nginx -t": "fail"},
    ),
    "the sandbox is edited": (
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
    "a worker uses more memory than planned": (
        """echo '{"workers": 2, "worker_memory": 4, "reason": "2"}' | over $config/plan.json""",
        "umount $config/plan.json",
        {"memory": "warn"},
    ),
    "the release log is empty": (
        "echo '[]' | over /srv/hello/releases.json",
        "umount /srv/hello/releases.json",
        {"release log": "fail"},
    ),
    "the release log is invalid": (
        "echo '[' | over /srv/hello/releases.json",
        "umount /srv/hello/releases.json",
        {"release log": "fail"},
    ),
    "a stale lock": ("echo by ann >/srv/hello/.lock", "truncate --size=0 /srv/hello/.lock", {"locks": "warn"}),
    "a deploy holds the lock": (
        "systemd-run --quiet --unit=holder flock /srv/hello/.lock sleep 60; sleep 0.2",
        "systemctl stop holder.service",
        {"locks": "warn"},
    ),
    "an incomplete release": (
        "mkdir /srv/hello/releases/half",
        "rmdir /srv/hello/releases/half",
        {"releases": "warn"},
    ),
    "an incomplete configuration": (
        "mkdir /srv/hello/configs/.new-x",
        "rmdir /srv/hello/configs/.new-x",
        {"releases": "warn"},
    ),
    "a different Python": (
        """sed 's/"python": "[0-9.]*"/"python": "3.9.2"/' $release/release.json | over $release/release.json""",
        "umount $release/release.json",
        {"releases": "fail"},
    ),
    "a stopped timer": (
        "printf '[Timer]\\nOnCalendar=daily\\n' >/etc/systemd/system/asgi-test.timer; systemctl daemon-reload",
        "rm /etc/systemd/system/asgi-test.timer; systemctl daemon-reload",
        {"timers": "fail"},
    ),
}


def rounds():
    """Return the names of the faults, in rounds in which each check occurs at most once."""
    grouped = []
    for name, (_plant, _repair, expected) in FAULTS.items():
        free = [names for names in grouped if not any(expected.keys() & FAULTS[other][2].keys() for other in names)]
        if free:
            free[0].append(name)
        else:
            grouped.append([name])
    return grouped


def examine(app):
    """Return the worst verdict of each check that is not ok."""
    module = ["-m", "asgi.deploy.doctor", "-a", json.dumps({"name": app.name})]
    command = ["ansible", app.inventory_name, "-i", INVENTORY, "--become", *module]
    environment = {
        **os.environ,
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [play] = json.loads(done.stdout)["plays"]
    verdicts = play["tasks"][0]["hosts"][app.inventory_name]["verdicts"]
    # "warn" before "fail", so that the worse verdict overwrites the other
    problems = sorted(
        (each for each in verdicts if each["verdict"] != "ok"), key=lambda each: each["verdict"], reverse=True
    )
    return {each["check"]: each["verdict"] for each in problems}


def test_healthy_machines_have_no_problems(one_hello, playbook, tmp_path):
    before = one_hello.fingerprint()

    playbook.succeeds("doctor", asgi_doctor_format="json", asgi_doctor_file=os.path.relpath(tmp_path / "doctor.json"))

    verdicts = json.loads((tmp_path / "doctor.json").read_text())
    assert [each for each in verdicts if each["verdict"] != "ok"] == []
    assert {each["host"] for each in verdicts} == {
        f"debian{n}-{name}" for n in (12, 13) for name in ("hello", "titiler")
    }
    assert len({each["check"] for each in verdicts}) > 20
    assert one_hello.fingerprint() == before


@pytest.mark.parametrize("names", rounds(), ids="; ".join)
def test_doctor_detects_every_fault(one_hello, plant, names):
    expected = {}
    for name in names:
        fault, repair, verdicts = FAULTS[name]
        plant(fault, repair)
        expected |= verdicts

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


def test_failed_check_fails_the_playbook_and_drift_is_a_warning(one_hello, plant, playbook):
    path = "/etc/asgi/hello/tls/live.pem"
    plant(f"echo '{expired(one_hello.server_name)}' | over {path}", f"umount {path}")

    changes = {"asgi_server_keepalive": 20, "asgi_proxy_body_size": "11m"}
    output = playbook.fails("doctor", "--limit", "debian12-hello", **changes)

    assert "live.pem has expired" in output
    assert "slot: site.yml would activate release" in output
    assert "site: site.yml would change /etc/nginx/conf.d/asgi-hello.conf" in output
    # One error is the expired certificate in the file. The other is that nginx still serves the previous certificate.
    assert "hello has 2: certificate" in output, "drift must not count as an error"


def test_no_fault_remains(one_hello):
    assert examine(one_hello) == {}
