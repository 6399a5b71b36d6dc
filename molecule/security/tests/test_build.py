"""The code of a hostile package gets neither root nor access to other apps during build, installation and description.

The package is a project in the intruder's source with its own build backend. The backend and a .pth file in the wheel run the attacks in
ATTEMPTS and store the results in the wheel.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

# The results of a failed attack. An exception counts as None.
FAILED = [None, False, "", []]
# name -> code that sets `result`
ATTEMPTS: dict[str, str] = {
    "be root": "result = os.geteuid() == 0 or os.getuid() == 0",
    "be the app": "result = pwd.getpwuid(os.getuid()).pw_name == 'intruder'",
    "have capabilities": "result = int(status('CapEff'), 16) or int(status('CapBnd'), 16)",
    "gain privileges by exec": "result = status('NoNewPrivs') != '1'",
    "call the kernel without a filter": "result = status('Seccomp') != '2'",
    "create a setuid program": "open(T + '/s', 'w'); os.chmod(T + '/s', 0o4755); result = os.stat(T + '/s').st_mode & 0o6000",
    "create a device": "os.mknod(T + '/d', 0o60666, os.makedev(8, 0)); result = True",
    "create a user namespace": "result = ctypes.CDLL(None).unshare(0x10000000) == 0",
    "mount": "result = ctypes.CDLL(None).mount(b'none', T.encode(), b'tmpfs', 0, None) == 0",
    "trace a process of another account": "result = ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "kill processes of others": "result = [pid for pid in pids() if pid > 1 and not mine(pid) and not os.kill(pid, 0)]",
    "see processes of others": "result = [pid for pid in pids() if not mine(pid)]",
    "read environments of others": "result = [pid for pid in pids() if not mine(pid) and open(f'/proc/{pid}/environ').read()]",
    "write to the victim's home": "write('/srv/victim')",
    "write to its own home": "write('/srv/intruder')",
    "write to its own data": "write('/srv/intruder/shared')",
    "create a release": "write('/srv/intruder/releases')",
    "write beside the code": "write(RELEASE)",
    "write to files of root": "write(RELEASE + '/.build')",
    "write to /etc": "write('/etc')",
    "write to units": "write('/etc/systemd/system')",
    "write to /usr/local/bin": "write('/usr/local/bin')",
    "write to /opt/asgi": "write('/opt/asgi')",
    "write to /run": "write('/run')",
    "write to cron": "write('/etc/cron.d')",
    "write to all apps' caches": "write('/var/cache/asgi')",
    "write to the caches' directory": "write('/var/cache/asgi/apps')",
    "write to the victim's cache": "write('/var/cache/asgi/apps/victim')",
    "replace uv": "result = [open(path, 'r+b') and path for path in glob.glob('/opt/asgi/*/uv')]",
    "replace Python": "result = open(os.path.realpath(sys.executable), 'r+b') and True",
    "see other apps' releases": "result = [name for name in os.listdir('/srv') if name != 'intruder']",
    "see other apps' caches": "result = [name for name in os.listdir('/var/cache/asgi/apps') if name != 'intruder']",
    "list /etc/asgi": "result = os.listdir('/etc/asgi')",
    "read private keys": "result = [open(path).read() for path in glob.glob('/etc/asgi/*/tls/*') + ['/etc/asgi/victim/tls/live.pem']]",
    "read password hashes": "result = open('/etc/asgi/victim/htpasswd').read()",
    "read /etc/shadow": "result = open('/etc/shadow').read()",
    "read the victim's settings": "result = [open(path).read() for path in glob.glob('/srv/victim/configs/*/env')]",
    "read its own app's settings": "result = [open(path).read() for path in glob.glob('/srv/intruder/configs/*/env')]",
    "find settings in its environment": "result = [name for name in os.environ if 'INTRUDER_SETTING' in name or name.startswith('SSH')]",
    "read root's home": "result = os.listdir('/root')",
    "escape through /proc": "result = os.listdir('/proc/1/root/etc/asgi')",
    "create a unix socket": "result = bool(socket.socket(socket.AF_UNIX))",
    "connect to D-Bus": "connect('/run/dbus/system_bus_socket')",
    "connect to the victim without nginx": "connect('/run/victim/live.sock')",
    "start a unit": "result = subprocess.run(['systemd-run', '--quiet', 'touch', '/pwned']).returncode == 0",
    "become root by su": "result = subprocess.run(['su', '-c', 'touch /pwned'], stdin=subprocess.DEVNULL).returncode == 0",
    "fill /dev/shm of the host": "open('/dev/shm/pwned', 'w'); result = None",
    "survive": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        os.execv(sys.executable, ["survivor", "-I", "-S", "-c", "import time; time.sleep(600)"])
    os._exit(0)
""",
}

COMMON = """
import ctypes, glob, json, os, pwd, signal, socket, subprocess, sys
T = os.environ.get("TMPDIR", "/tmp")
RELEASE = os.path.dirname(os.path.dirname(T))
def status(name):
    return [line.split()[1] for line in open("/proc/self/status") if line.startswith(name + ":")][0]
def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
def mine(pid):
    return os.stat(f"/proc/{pid}").st_uid == os.getuid()
def write(directory):
    open(directory + "/pwned", "w")
    raise Exception("written")
def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)
    raise Exception("connected")
def attack(attempts):
    results = {}
    for name, code in attempts.items():
        names = dict(globals())
        try:
            exec(code, names)
            results[name] = names.get("result")
        except (OSError, PermissionError) as exc:
            results[name] = None
        except Exception as exc:
            results[name] = repr(exc)
    return results
"""
BACKEND = """
import os, sys, zipfile
sys.path.insert(0, os.path.dirname(__file__))
from common import attack
from attempts import ATTEMPTS
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "hostile-1.0-py3-none-any.whl"
    files = {
        "hostile-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: hostile\\nVersion: 1.0\\n",
        "hostile-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "backend.json": __import__("json").dumps(attack(ATTEMPTS), default=repr),
    }
    here = os.path.dirname(__file__)
    for extra in ("hostile.pth", "hostile_pth.py", "common.py", "attempts.py"):
        if os.path.exists(os.path.join(here, extra)):
            files[extra] = open(os.path.join(here, extra)).read()
    files["hostile-1.0.dist-info/RECORD"] = "".join(f"{each},,\\n" for each in files)
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        for each, text in files.items():
            wheel.writestr(each, text)
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "hostile"
version = "1.0"
"""
# Python also runs this file whenever the app starts. It attacks only if another account than the app runs it, as in a build.
PTH = """
import os, pwd
if pwd.getpwuid(os.getuid()).pw_name != "intruder" and not os.path.exists(__file__ + ".json"):
    import json
    from common import attack
    from attempts import ATTEMPTS
    results = json.dumps(attack(ATTEMPTS), default=repr)
    with open(__file__ + ".json", "w") as file:
        file.write(results)
"""


def hostile(pth: str = PTH, attempts: dict[str, str] | None = None) -> dict[str, str]:
    """Return the files of a source that installs the hostile package."""
    return {
        "requirements.txt": "./package\n",
        "package/pyproject.toml": PROJECT,
        "package/backend.py": BACKEND,
        "package/common.py": COMMON,
        "package/attempts.py": f"ATTEMPTS = {attempts or {}!r}\n",
        "package/hostile.pth": "import hostile_pth\n",
        "package/hostile_pth.py": pth,
    }


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """The results of the attacks, which the first test collects."""
    return {}


def site_packages(machine, release: str) -> str:
    return machine.check_output(f"echo /srv/intruder/releases/{release}/.venv/lib/python3*/site-packages")


def test_deploy_with_a_hostile_package_succeeds(deploy, machine, intruder, results):
    """The attacks fail silently."""
    deploy.succeeds(hostile(attempts=ATTEMPTS))
    where = site_packages(machine, intruder.release)
    for phase, file in (("backend", "backend.json"), ("pth", "hostile_pth.py.json")):
        results[phase] = json.loads(machine.file(f"{where}/{file}").content_string)
    assert machine.run("pgrep -u _intruder").stdout == "", "processes of the build remain"
    assert machine.run("systemctl list-units --all --no-legend 'asgi-build-*' 'asgi-import-*'").stdout == ""


@pytest.mark.parametrize("name", ATTEMPTS)
@pytest.mark.parametrize("phase", ["backend", "pth"])
def test_attack_of_the_package_fails(results, phase, name):
    assert results[phase][name] in FAILED


def test_only_root_can_write_to_the_release(machine, intruder):
    release = f"/srv/intruder/releases/{intruder.release}"
    assert (
        machine.check_output(f"find {release} ! -user root -o ! -group root -o -perm /6000 -o ! -type l -perm /022")
        == ""
    )
    assert machine.check_output(f"find {release} ! -type f ! -type d ! -type l -o -type f -links +1") == ""
    assert machine.run(f"getfattr -R -d -m - {release} | grep -v selinux").stdout == ""
    assert machine.check_output("stat -c '%U:%G %a' /var/cache/asgi/apps/intruder") == "_intruder:_intruder 700"


# uv starts the interpreter to compile packages, so the attack may break a step before the one that detects it.
EARLIER = "the virtual environment cannot be described|cannot be installed"
# name -> code of a .pth file that runs as the build account, and the message of the failed deploy
REJECTED = {
    "a symlink to another app": (
        "os.symlink('/etc/asgi/victim/htpasswd', CODE + '/static')",
        "static is a symlink to .*htpasswd",
    ),
    "a symlink to everything": ("os.symlink('/', CODE + '/static')", "is a symlink to /, outside of the release"),
    "a chain of symlinks": (
        "os.makedirs(CODE + '/a/b'); os.symlink('a/b', CODE + '/up'); os.symlink('up/../../../../..', CODE + '/out')",
        "is a symlink to .*outside of the release",
    ),
    "a pipe": ("os.mkfifo(CODE + '/pipe')", "pipe is neither a file, a directory nor a symlink"),
    "a hard link": ("os.link(CODE + '/main.py', CODE + '/again')", "is a hard link"),
    "a directory that is too deep": (
        "os.chdir(CODE)\n    for _ in range(2000):\n        os.mkdir('d'); os.chdir('d')",
        f"more than 100 directories below|{EARLIER}",
    ),
    "another interpreter": (
        "os.unlink(BIN + '/python'); open(BIN + '/python', 'w').write('touch /pwned')",
        f"bin/python is not the Python of the host|{EARLIER}",
    ),
    "another program as interpreter": (
        "os.unlink(BIN + '/python'); os.symlink('/usr/bin/touch', BIN + '/python')",
        f"python3? is a symlink to .*, outside of the release|{EARLIER}",
    ),
    "a false description": (
        'print(\'{"python": 1, "packages": {}}\'); os._exit(0)',
        EARLIER,
    ),
    "endless output": ("os.write(1, b'x' * 100_000_000); os._exit(1)", f"bytes omitted|{EARLIER}"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_forbidden_content_of_a_release_fails_the_deploy(deploy, machine, intruder, name):
    code, message = REJECTED[name]
    before = machine.check_output("ls /srv/intruder/releases"), intruder.release
    pth = f"""
import os, pwd, sys
CODE, BIN = os.path.dirname(sys.prefix) + "/code", sys.prefix + "/bin"
if pwd.getpwuid(os.getuid()).pw_name != "intruder" and not os.path.exists(CODE + "/done"):
    open(CODE + "/done", "w")
    {code}
"""
    output = deploy.fails(hostile(pth))
    assert re.search(message, output), output
    assert (machine.check_output("ls /srv/intruder/releases"), intruder.release) == before
    assert machine.run("pgrep -u _intruder").stdout == ""


EVIL = "\nimport posix\nif posix.getuid() == 0: posix.mkdir('/pwned')\n"


def test_root_does_not_run_code_of_a_forged_interpreter_home(deploy, machine, playbook, restored):
    """pyvenv.cfg contains the directory of the standard library, which Python imports even with -I and -S."""
    pth = f"""
import os, pwd, shutil, sys
if pwd.getpwuid(os.getuid()).pw_name != "intruder":
    home = sys.prefix + "/evil"
    lib = home + "/lib/python" + ".".join(map(str, sys.version_info[:2]))
    if not os.path.exists(lib):
        shutil.copytree(os.path.dirname(os.__file__), lib, ignore=shutil.ignore_patterns("test", "dist-packages", "__pycache__"))
        open(lib + "/encodings/__init__.py", "a").write({EVIL!r})
        os.mkdir(home + "/bin")
        open(sys.prefix + "/pyvenv.cfg", "w").write("home = " + home + "/bin")
"""
    deploy(hostile(pth))
    for name in ("deploy", "doctor", "status"):
        playbook(name)
    assert not machine.file("/pwned").exists


def test_build_ends_with_its_module(machine, deploy, restored):
    """The module is killed during a build, and the next deploy succeeds."""
    before = machine.check_output("ls /srv/intruder/releases")
    with ThreadPoolExecutor() as pool:
        deployed = pool.submit(deploy, hostile(attempts={"sleep": "import time; time.sleep(150)"}))
        wait_for(lambda: machine.run("pgrep -u _intruder -f backend").stdout, 90)
        # With pipelining, the command line of the module does not contain its name.
        machine.check_output("kill -KILL $(ps -o ppid= -p $(pgrep -o -x systemd-run))")
        wait_for(lambda: not machine.run("pgrep -u _intruder").stdout, 20)
        status, output = deployed.result()
    assert status != 0, output
    assert machine.run("systemctl list-units --all --no-legend 'asgi-build-*'").stdout == ""
    deploy.succeeds()
    added = set(machine.check_output("ls /srv/intruder/releases").split()) - set(before.split())
    assert len(added) == 1, "the incomplete release remains"


def wait_for(condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
