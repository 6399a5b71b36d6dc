"""Accounts of other apps and unrelated accounts cannot read the secrets of an app."""

from __future__ import annotations

import contextlib
import json
import subprocess
import textwrap
import time

import pytest

# Brackets keep the pattern from matching the searching command itself.
SECRETS = "'[c]anary-of-the-environment|[$]6[$]canarycanary'"
# Commands that print text only if the attack succeeds.
ATTEMPTS = {
    "list the directory of the key": "ls /etc/asgi/victim/tls",
    "read the key": "cat /etc/asgi/victim/tls/live.pem",
    "link the key": "ln /etc/asgi/victim/tls/live.pem /tmp/pwned.pem && cat /tmp/pwned.pem",
    "read the password hashes": "cat /etc/asgi/victim/htpasswd",
    "read the environment of the slot": "cat /srv/victim/slots/*/config/env",
    "list the configurations": "ls /srv/victim/configs/*",
    "read the environment of the processes": f"cat /proc/[0-9]*/environ | grep -azE {SECRETS}",
    "read the command lines": f"cat /proc/[0-9]*/cmdline | grep -azE {SECRETS}",
    "read the properties of the units": f"systemctl show 'victim@*' 'run-*' | grep -E {SECRETS}",
    "read the unit files": f"systemctl cat 'victim@*' | grep -E {SECRETS}",
    "read the release log": "cat /srv/victim/releases.json",
    "read the journal": "journalctl --no-pager -u 'victim@*' | grep -v -e '-- No entries' -e '^Hint' -e '^ '",
    "read root's temporary directories": "ls -A /root /root/.ansible/tmp",
    "read ACME accounts and keys": "ls /etc/letsencrypt/accounts /etc/letsencrypt/archive /var/log/letsencrypt",
    "read nginx's logs": "cat /var/log/nginx/victim.access.log",
    "find the secret in any file": f"grep -rlsIE {SECRETS} /etc /srv /run /var /opt /tmp",
    "read the cache of builds": "ls /var/cache/asgi/apps/victim /var/cache/asgi/wheels",
    "replace the key": "mv /etc/asgi/victim/tls /etc/asgi/victim/old && echo moved",
    "open the key through a worker of nginx": "cat /proc/$(pgrep -o -x nginx)/root/etc/asgi/victim/tls/live.pem",
}


@pytest.mark.smoke
@pytest.mark.parametrize("account", ["nobody", "intruder"])
@pytest.mark.parametrize("attempt", sorted(ATTEMPTS))
def test_another_account_cannot_read_secrets(machine, account, attempt):
    output = machine.run("timeout 60 runuser -u %s -- sh -c %s", account, ATTEMPTS[attempt]).stdout
    assert output == "", output


@pytest.mark.smoke
@pytest.mark.parametrize("attempt", sorted(ATTEMPTS))
def test_worker_of_another_app_cannot_read_secrets(intruder, attempt):
    code = f"""
        import subprocess
        done = subprocess.run(["timeout", "20", "sh", "-c", {ATTEMPTS[attempt]!r}], capture_output=True, text=True, errors="replace")
        result = done.stdout
    """
    output = intruder.run(code)
    assert output == "", output


@pytest.mark.smoke
def test_root_can_read_the_secrets(machine):
    """The attacks above fail because of missing permissions."""
    for attempt in ("read the key", "read the password hashes", "read the environment of the slot"):
        assert machine.check_output(ATTEMPTS[attempt])
    assert "canary-of-the-environment" in machine.check_output(
        ATTEMPTS["find the secret in any file"].replace("-rlsIE", "-rhsIE")
    )


# ---- Races while secrets are written

# One thread polls for the files to be created, as fast as possible; another reads all other accessible files.
SPY = """
import glob, json, os, sys, threading, time
order = json.loads(sys.argv[1])
found, until = {}, time.monotonic() + order["seconds"]

def note(path, text):
    for name, secret in order["secrets"].items():
        if secret in text:
            found.setdefault(name, path)

def look(path):
    try:
        with open(path, "rb") as file:
            note(path, file.read(1 << 20).decode("utf-8", "replace"))
    except OSError:
        pass

def going():
    return time.monotonic() < until and not os.path.exists(order["stop"])

def poll():
    while going():
        for path in order["paths"]:
            look(path)
        for directory in order["directories"]:
            try:
                for name in os.listdir(directory):
                    found.setdefault("names in " + directory, name)
                    look(os.path.join(directory, name))
            except OSError:
                pass
        # Much shorter than the exposure by copy and template, but leaves processor time to the playbook.
        time.sleep(0.0001)

def walk():
    while going():
        for pattern in order["patterns"]:
            for path in glob.glob(pattern, recursive=True):
                if os.path.isfile(path) or path.startswith("/proc/"):
                    look(path)
        time.sleep(0.05)

threads = [threading.Thread(target=each) for each in (poll, walk)]
[each.start() for each in threads]
[each.join() for each in threads]
print(json.dumps(found))
"""
PATTERNS = [
    "/proc/[0-9]*/cmdline",
    "/proc/[0-9]*/environ",
    "/run/systemd/transient/*",
    "/srv/intruder/.*/*",
    "/srv/intruder/releases/*/*",
    "/srv/intruder/configs/*/*",
    "/etc/asgi/intruder/**",
    "/etc/systemd/system/intruder*/*",
    "/etc/nginx/conf.d/*",
    "/tmp/**",
    "/var/tmp/**",
]


@contextlib.contextmanager
def spies(machine, secrets: dict[str, str], accounts=("nobody", "victim")):
    """Search for *secrets* as *accounts* while the body runs; yield their findings, which are complete afterwards."""
    stop = "/run/spies.stop"
    machine.check_output("rm -f %s", stop)
    order = {
        "seconds": 300,
        "stop": stop,
        "secrets": secrets,
        "paths": ["/etc/asgi/intruder/tls/live.pem", "/etc/asgi/intruder/htpasswd"],
        "directories": ["/etc/asgi/intruder/tls"],
        "patterns": PATTERNS,
    }
    container = machine.backend.name
    found: dict[str, dict] = {}
    # Use standard input, because the spies read command lines, including each other's.
    program = SPY.replace("sys.argv[1]", "sys.stdin.readline()")
    started = []
    for account in accounts:
        command = ["docker", "exec", "-i", container, "runuser", "-u", account, "--", "python3", "-c", program]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        started.append((account, process))
    time.sleep(1)
    try:
        yield found
    finally:
        machine.check_output("touch %s", stop)
        for account, process in started:
            out, _err = process.communicate(timeout=60)
            found[account] = json.loads(out)
        machine.check_output("rm -f %s", stop)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> dict[str, str]:
    """A certificate and its key."""
    directory = tmp_path_factory.mktemp("pair")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        + ["-subj", "/CN=intruder.test", "-addext", "subjectAltName=DNS:intruder.test"]
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", directory / "key", "-out", directory / "crt"],
        check=True,
        capture_output=True,
    )
    return {"key": (directory / "key").read_text(), "certificate": (directory / "crt").read_text()}


def planted(pair) -> tuple[dict, dict[str, str]]:
    """Return variables with a secret of each kind, and the secrets by name."""
    secrets = {
        "key": pair["key"].splitlines()[1],
        "hash": subprocess.check_output(["openssl", "passwd", "-6", "planted"], text=True).strip(),
        "environment": "planted-in-the-environment",
    }
    variables = {
        "asgi_proxy_tls_provider": "provided",
        "asgi_proxy_tls_certificate_content": pair["certificate"],
        "asgi_proxy_tls_key_content": pair["key"],
        "asgi_proxy_users": {"mallory": secrets["hash"]},
        "asgi_env": {"PLANTED": secrets["environment"]},
    }
    return variables, secrets


def test_secrets_are_never_readable_while_a_playbook_writes_them(machine, playbook, pair, restored):
    """Write key, hashes and environment for the first time, with -vvv and --diff, while other accounts search."""
    variables, secrets = planted(pair)
    machine.check_output("rm -rf /etc/asgi/intruder")
    with spies(machine, secrets) as found:
        status, output = playbook("site", "-vvv", "--diff", **variables)
    assert status == 0, output[-4000:]
    assert found == {"nobody": {}, "victim": {}}
    # Skip the first lines, which contain the command line of the run itself.
    shown = output.partition("PLAY [")[2]
    assert [name for name, secret in secrets.items() if secret in shown] == []
    stat = machine.check_output(
        "stat -c '%U:%G %a %n' /etc/asgi/intruder/tls /etc/asgi/intruder/tls/* /etc/asgi/intruder/htpasswd"
    )
    assert stat.splitlines() == [
        "root:root 700 /etc/asgi/intruder/tls",
        "root:root 600 /etc/asgi/intruder/tls/live.pem",
        "root:www-data 640 /etc/asgi/intruder/htpasswd",
    ]


def test_build_environment_is_never_readable(machine, deploy, restored):
    secrets = {"build environment": "planted-in-the-build-environment"}
    with spies(machine, secrets) as found:
        status, output = deploy(asgi_app_build_env={"PLANTED_BUILD": secrets["build environment"]})
    assert status == 0, output[-4000:]
    assert found == {"nobody": {}, "victim": {}}


def test_spies_detect_exposure_by_copy(machine):
    """Positive control: ansible.builtin.copy creates a file with the umask, renames it, and then sets the mode."""
    copy = textwrap.dedent(
        """
        import os, time
        directory = "/etc/asgi/intruder/tls"
        os.chmod(directory, 0o755)
        for _ in range(20):
            with open(directory + "/.new", "w") as file:
                file.write("planted-by-copy")
            os.rename(directory + "/.new", directory + "/copied")
            os.chmod(directory + "/copied", 0o600)
        time.sleep(1)
        os.remove(directory + "/copied")
        os.chmod(directory, 0o700)
        """
    )
    with spies(machine, {"copy": "planted-by-copy"}) as found:
        machine.check_output("python3 -c %s", copy)
    assert all("copy" in each for each in found.values()), found


def test_permissions_of_an_earlier_version_are_repaired_once(machine, playbook):
    machine.check_output("chmod 0755 /etc/asgi/intruder/tls && chmod 0644 /etc/asgi/intruder/tls/live.pem")
    _status, output = playbook("site", "--check")
    assert "changed=0" not in output
    for changed in (True, False):
        output = playbook.succeeds("site")
        assert ("changed=0 " not in output) is changed
    modes = machine.check_output("stat -c %a /etc/asgi/intruder/tls /etc/asgi/intruder/tls/live.pem").split()
    assert modes == ["700", "600"]


@pytest.mark.parametrize(
    "settings",
    [
        {"Environment": "TOKEN=planted-in-a-unit"},
        {"SetCredential": "token:planted-in-a-unit"},
        {"EnvironmentFile": "/tmp/planted-in-a-unit"},
        {"RuntimeDirectory": "intruder"},
        {"LogsDirectory": "nginx"},
        {"LimitNOFILE": "1\nEnvironment=TOKEN=planted-in-a-unit"},
    ],
    ids=json.dumps,
)
def test_readable_or_harmful_unit_setting_is_rejected(machine, playbook, intruder, settings):
    before = intruder.fingerprint()
    output = playbook.fails("deploy", "--diff", asgi_server_unit_settings=settings)
    assert "asgi_server_unit_settings" in output
    assert "nothing has been changed" in output
    if not {"Environment", "SetCredential"}.isdisjoint(settings):
        assert "planted-in-a-unit" not in output
        assert "asgi_env" in output
    assert intruder.fingerprint() == before
