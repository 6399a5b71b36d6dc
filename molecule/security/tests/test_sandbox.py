"""Test from inside a worker which files, sockets and system calls the sandbox allows."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from security.target import App

pytestmark = pytest.mark.smoke

DENIED, ALLOWED = False, True

READ = {
    # The app's own files.
    "/srv/intruder/current/code/main.py": ALLOWED,
    "/srv/intruder/releases": ALLOWED,
    "/srv/intruder/shared": ALLOWED,
    "/srv/intruder/cache": ALLOWED,
    # Files that programs need.
    "/etc/passwd": ALLOWED,
    "/etc/resolv.conf": ALLOWED,
    "/etc/ssl/certs/ca-certificates.crt": ALLOWED,
    "/usr/bin/python3": ALLOWED,
    "/proc/self/status": ALLOWED,
    # The load and the processors of the machine, which psutil, JVMs and browsers read.
    "/proc/meminfo": ALLOWED,
    "/proc/stat": ALLOWED,
    "/proc/cpuinfo": ALLOWED,
    "/sys/devices/system/cpu/online": ALLOWED,
    # Other apps.
    "/srv/victim": DENIED,
    "/srv/victim/current/code/main.py": DENIED,
    "/srv/victim/shared/canary-of-the-data.txt": DENIED,
    "/etc/asgi/victim": DENIED,
    "/etc/asgi/victim/htpasswd": DENIED,
    "/etc/asgi/victim/tls": DENIED,
    "/run/victim": DENIED,
    # The app's files that only root may read.
    "/srv/intruder/releases.json": DENIED,
    "/etc/asgi/intruder/tls": DENIED,
    # The host.
    "/root": DENIED,
    "/etc/shadow": DENIED,
    "/etc/ssl/private": DENIED,
    "/var/log/nginx": DENIED,
    "/var/cache/asgi": DENIED,
    "/run/dbus": DENIED,
    "/run/user": DENIED,
    "/proc/1": DENIED,
    "/proc/kcore": DENIED,
    "/proc/kallsyms": DENIED,
    "/dev/mem": DENIED,
    "/dev/kmsg": DENIED,
}
WRITE = {
    "/srv/intruder/shared": ALLOWED,
    "/srv/intruder/cache": ALLOWED,
    "/tmp": ALLOWED,
    "/var/tmp": ALLOWED,
    "/dev/shm": ALLOWED,
    "/srv": DENIED,
    "/srv/intruder": DENIED,
    "/srv/intruder/current/code": DENIED,
    "/srv/intruder/current/.venv": DENIED,
    "/srv/intruder/slots/blue": DENIED,
    "/srv/intruder/configs": DENIED,
    "/etc": DENIED,
    "/etc/asgi": DENIED,
    "/etc/systemd/system": DENIED,
    "/usr/local/bin": DENIED,
    "/var/lib": DENIED,
    "/var/cache/asgi": DENIED,
    "/run": DENIED,
    "/run/intruder": DENIED,
    "/run/victim": DENIED,
    "/sys/fs/cgroup": DENIED,
    "/proc/sys/kernel": DENIED,
    "/home": DENIED,
}
CONNECT = {
    # Logging, and the site.
    "/run/systemd/journal/socket": ALLOWED,
    "127.0.0.1:80": ALLOWED,
    # Only nginx may connect to the sockets of apps, including the app's own.
    "/run/victim/live.sock": DENIED,
    "/run/victim/blue.sock": DENIED,
    "/run/intruder/live.sock": DENIED,
    "/run/dbus/system_bus_socket": DENIED,
    "/run/systemd/private": DENIED,
}
EXECUTE = {
    "a program": ALLOWED,
    "a thread": ALLOWED,
    "the addresses of the host": ALLOWED,
    "a thread's processors": ALLOWED,
    "the scheduler of a thread": ALLOWED,
    "the scheduler of real-time threads": DENIED,
    "becoming root": DENIED,
    "a namespace for users": DENIED,
    "a mount": DENIED,
    "a raw socket": DENIED,
    "executable memory": DENIED,
    "a program that becomes its owner": DENIED,
    "a trace of another process": DENIED,
    "the clock": DENIED,
    "a kernel module": DENIED,
}


def tries(paths, sockets):
    """Try all operations in the worker, and return whether each succeeded."""
    import ctypes
    import mmap
    import os
    import socket
    import subprocess
    import threading
    import time

    libc = ctypes.CDLL(None, use_errno=True)

    def read(path):
        if os.path.isdir(path):
            os.listdir(path)
        else:
            with open(path, "rb") as file:
                file.read(1)

    def write(directory):
        path = f"{directory}/pwned-{os.getpid()}"
        with open(path, "w"):
            pass
        os.unlink(path)

    def connect(address):
        if address.startswith("/"):
            kind = socket.SOCK_DGRAM if "journal" in address else socket.SOCK_STREAM
            family, where = socket.AF_UNIX, address
        else:
            host, port = address.split(":")
            family, kind, where = socket.AF_INET, socket.SOCK_STREAM, (host, int(port))
        with socket.socket(family, kind) as client:
            client.settimeout(3)
            client.connect(where)

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    def thread():
        one = threading.Thread(target=int)
        one.start()
        one.join()

    def set_user_id():
        path = f"/tmp/pwned-{os.getpid()}"
        with open(path, "w"):
            pass
        os.chmod(path, 0o4755)

    executed = {
        "a program": lambda: subprocess.run(["/bin/true"], check=True),
        "a thread": thread,
        "the addresses of the host": socket.if_nameindex,
        "a thread's processors": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "the scheduler of a thread": lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        "the scheduler of real-time threads": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "becoming root": lambda: os.setuid(0),
        "a namespace for users": lambda: call("unshare", 0x10000000),
        "a mount": lambda: call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None),
        "a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
        "a program that becomes its owner": set_user_id,
        "a trace of another process": lambda: call("ptrace", 16, os.getppid(), None, None),
        "the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        "a kernel module": lambda: call("init_module", None, 0, b""),
    }
    done = {}
    for kind, attempt, targets in (
        ("read", read, paths["read"]),
        ("write", write, paths["write"]),
        ("connect", connect, sockets),
    ):
        for target in targets:
            try:
                attempt(target)
                done[f"{kind} {target}"] = True
            except OSError:
                done[f"{kind} {target}"] = False
    for what, attempt in executed.items():
        try:
            attempt()
            done[f"execute {what}"] = True
        except OSError:
            done[f"execute {what}"] = False
    return done


def from_inside(app: App) -> dict[str, bool]:
    """Return the results of all operations in the tables for *app*."""
    paths = {"read": list(READ), "write": list(WRITE)}
    code = f"{inspect.getsource(tries)}\nresult = tries({json.dumps(paths)}, {json.dumps(list(CONNECT))})"
    return app.run(code)


@pytest.fixture(scope="module")
def done() -> dict[str, bool]:
    return from_inside(App("intruder"))


TABLE = [
    (f"{kind} {target}", expected)
    for kind, table in (("read", READ), ("write", WRITE), ("connect", CONNECT), ("execute", EXECUTE))
    for target, expected in table.items()
]


@pytest.mark.parametrize(("what", "expected"), TABLE, ids=[what for what, _expected in TABLE])
def test_permissions_of_the_sandbox(done, what, expected):
    assert done[what] is expected


def test_app_cannot_list_other_apps(intruder):
    code = "import os; result = [os.listdir('/srv'), os.listdir('/etc/asgi'), [p for p in os.listdir('/proc') if p == '1']]"

    assert intruder.run(code) == [["intruder"], [], []]


def test_shared_memory_is_the_apps_own(intruder, machine):
    intruder.run("open('/dev/shm/pwned', 'w').close()")

    assert not machine.file("/dev/shm/pwned").exists
    intruder.run("import os; os.unlink('/dev/shm/pwned')")


def test_metadata_services_of_clouds_are_denied(intruder, machine):
    # Checks only the setting, because systemd may be unable to enforce it in a container.
    denied = machine.check_output(f"systemctl show --property=IPAddressDeny --value {intruder.service}")

    for address in ("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128"):
        assert address in denied.split()


def test_systemd_rates_the_sandbox_as_ok(intruder, machine):
    rated = machine.run(f"systemd-analyze security --threshold=20 --no-pager {intruder.service}")

    assert rated.rc == 0, rated.stdout[-2000:]


RECORD = """
import json, os, re
where = os.path.join(os.environ["ASGI_SHARED"], "seen")
os.makedirs(where, exist_ok=True)
status = open("/proc/self/status").read()
group = open("/proc/self/cgroup").read()
unit = re.search(r"([^/\\n]+)\\.service", group).group(1)
seen = {name: re.search(rf"^{name}:\\s*(.*)$", status, re.M).group(1) for name in ("Uid", "Gid", "CapBnd", "NoNewPrivs", "Seccomp")}
try:
    os.sched_setparam(0, os.sched_param(0))
    seen["system calls"] = "more"
except PermissionError:
    seen["system calls"] = "filtered"
seen |= {"srv": os.listdir("/srv"), "asgi": os.listdir("/etc/asgi"), "init": os.path.exists("/proc/1")}
seen |= {"written": [path for path in ("/srv/intruder", "/var/lib", "/tmp", "/dev/shm", where) if os.access(path, os.W_OK)]}
with open(os.path.join(where, unit), "w") as file:
    json.dump(seen, file)
"""


@pytest.fixture
def hook(tmp_path):
    """Return a function that writes a hook that runs a Python program with release_command."""

    def write(code: str) -> str:
        task: dict[str, Any] = {
            "name": "Run a command of the release",
            "asgi.deploy.release_command": {
                "name": "{{ asgi_name }}",
                "release": "{{ asgi_release.id }}",
                "argv": ["python", "-c", code],
                "environment": "{{ asgi_env | to_json }}",
                "timeout": 30,
            },
        }
        path = tmp_path / "hook.yml"
        path.write_text(json.dumps([task]))
        return str(path)

    return write


def test_all_code_of_an_app_runs_in_the_same_sandbox(intruder, machine, deploy, playbook, hook, restored):
    machine.run("rm -rf /srv/intruder/shared/seen")
    deploy.succeeds({"hostile.py": RECORD}, asgi_app_hook_staged=hook(RECORD))
    playbook.succeeds("reload")

    directory = "/srv/intruder/shared/seen"
    units = machine.check_output(f"ls {directory}").split()
    seen = {unit: json.loads(machine.file(f"{directory}/{unit}").content_string) for unit in units}
    slot = seen[f"intruder@{intruder.live}"]
    assert {unit.rstrip("-0123456789") for unit in seen} >= {
        "asgi-import-intruder",
        "asgi-command-intruder",
        "asgi-reload-intruder",
    }
    assert slot["NoNewPrivs"] == "1"
    assert slot["Seccomp"] == "2"
    assert slot["system calls"] == "filtered"
    assert slot["srv"] == ["intruder"]
    assert slot["written"] == ["/tmp", "/dev/shm", directory]
    assert {unit: found for unit, found in seen.items() if found != slot} == {}
