"""A compromised app cannot block root with systemd's protocol, signals or processes that do not end.

A deploy, reload, rollback or uninstall takes no longer than its timeouts (the fixture playbook fails after PLAYBOOK_SECONDS), and no
process of the app remains outside its slots.
"""

from __future__ import annotations

import json
import time

import pytest

# Functions for the attacks. HOSTILE in the environment marks their processes.
PRELUDE = """
import os, signal, socket, subprocess, sys, threading, time

def notify(message):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(message.encode(), "/run/systemd/notify")

def background(code):
    subprocess.Popen([sys.executable, "-c", PRELUDE + code], start_new_session=True, stdin=-3, stdout=-3, stderr=-3,
                     env={**os.environ, "HOSTILE": "1", "MASTER": str(os.getppid())})
"""
CODE = f"PRELUDE = {PRELUDE!r}\nexec(PRELUDE)\n"

# The app's only process is its main process. This server has no metrics.
SINGLE = {
    "asgi_server_type": "uvicorn",
    "asgi_server_watchdog": 0,
    "asgi_server_workers": "auto",
    "asgi_server_metrics": False,
}

# name -> code that a worker runs
ATTEMPTS = {
    "extends every timeout": """
def extend():
    while True:
        notify("EXTEND_TIMEOUT_USEC=36000000000")
        time.sleep(0.5)
threading.Thread(target=extend, daemon=True).start()
""",
    "names itself the main process": 'notify(f"MAINPID={os.getpid()}\\nREADY=1")\n',
    "feeds the watchdog and stops the master": """
background(PRELUDE and '''
master = int(os.environ["MASTER"])
while True:
    try:
        os.kill(master, signal.SIGSTOP)
        notify("WATCHDOG=1\\\\nEXTEND_TIMEOUT_USEC=36000000000")
    except OSError:
        pass
    time.sleep(0.05)
''')
""",
    "ignores SIGTERM in its own session": """
background('signal.signal(signal.SIGTERM, signal.SIG_IGN)\\nwhile True: time.sleep(60)')
""",
    "forks faster than it is killed": """
for _ in range(8):
    background('''
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        pass
    time.sleep(0.005)
''')
""",
    "announces its stop and its reload": 'notify("STOPPING=1")\nnotify("RELOADING=1")\nnotify("BARRIER=1")\n',
    "stores file descriptors and asks for less watchdog": 'notify("FDSTORE=1")\nnotify("WATCHDOG_USEC=1")\n',
}

# Code for the main process, whose notifications systemd accepts.
MAIN = """
import ctypes
libc = ctypes.CDLL(None)
def extend():
    while True:
        notify("EXTEND_TIMEOUT_USEC=36000000000\\nWATCHDOG=1")
        time.sleep(0.5)
threading.Thread(target=extend, daemon=True).start()
# Only the main thread can call signal.signal(), and this code also runs in a thread of the app.
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT):
    libc.signal(number, ctypes.c_void_p(1))
"""


def processes(machine, account="intruder"):
    """Return the command lines of processes of the account outside its slots and of attacks, by process id."""
    program = f"""
import json, os, pwd
uid, found = pwd.getpwnam({account!r}).pw_uid, {{}}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{{pid}}").st_uid != uid:
            continue
        group = open(f"/proc/{{pid}}/cgroup").read()
        hostile = b"HOSTILE=1" in open(f"/proc/{{pid}}/environ", "rb").read().split(b"\\0")
        if "{account}@" not in group or hostile:
            found[pid] = open(f"/proc/{{pid}}/cmdline").read()[:200]
    except OSError:
        pass
print(json.dumps(found))
"""
    return json.loads(machine.check_output("/usr/bin/python3 -c %s", program))


def has_ended(machine, slot):
    state = machine.check_output(f"systemctl show --property=ActiveState --value intruder@{slot}.service")
    return state in ("inactive", "failed")


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_worker_cannot_block_a_deploy(intruder, machine, deploy, restored, attempt):
    slot, main = intruder.live, machine.check_output(f"systemctl show --property=MainPID --value {intruder.service}")
    intruder.run(CODE + attempt)
    now = machine.check_output(f"systemctl show --property=MainPID --value {intruder.service}")
    assert now in (main, "0")

    deploy.succeeds({"hostile.py": ""})

    assert has_ended(machine, slot)
    assert intruder.live != slot
    assert processes(machine) == {}


@pytest.mark.parametrize("name", ["reload", "rollback"])
def test_worker_cannot_block(intruder, machine, deploy, playbook, restored, name):
    deploy.succeeds({"hostile.py": ""})
    slot = intruder.live
    intruder.run(CODE + ATTEMPTS["extends every timeout"] + ATTEMPTS["feeds the watchdog and stops the master"])

    status, output = playbook(name)

    if name == "rollback":
        assert status == 0, output
        assert has_ended(machine, slot)
        assert intruder.live != slot
    else:
        assert "was not reloaded" in output
    # After a failed reload, the watchdog kills the whole service, because only the master can notify it.
    wait_until(lambda: processes(machine) == {})


@pytest.mark.parametrize("name", ["deploy", "reload", "rollback"])
def test_main_process_cannot_block(intruder, machine, deploy, playbook, restored, name):
    deploy.succeeds({"hostile.py": ""}, **SINGLE)
    slot = intruder.live
    intruder.run(CODE + MAIN)

    status, output = deploy({"hostile.py": ""}) if name == "deploy" else playbook(name)

    assert status == 0, output
    assert has_ended(machine, slot)
    assert intruder.live != slot
    assert processes(machine) == {}


def test_boot_that_extends_its_timeout_is_aborted(intruder, machine, deploy, restored):
    """The release never serves, and its main process extends the timeout again and again."""
    slot = intruder.live
    hostile = f"{CODE}if 'asgi_deploy_single' in sys.modules:\n" + "".join(
        f"    {line}\n" for line in (MAIN + "time.sleep(3600)").strip().splitlines()
    )

    output = deploy.fails({"hostile.py": hostile}, **SINGLE)

    assert "within asgi_server_boot_timeout" in output
    assert intruder.live == slot
    assert processes(machine) == {}


def test_endless_slow_answer_cannot_block_a_deploy(intruder, machine, deploy, restored):
    slot = intruder.live
    slow = """
        import asyncio, main
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await asyncio.sleep(3600)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"500")]})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(1)
    """

    output = deploy.fails({"slow.py": slow}, asgi_module="slow:app", asgi_server_probe_deadline=15)

    assert "no complete answer within" in output
    assert intruder.live == slot


SURVIVOR = """
import os, subprocess, sys
subprocess.Popen(["sleep", "3600"], start_new_session=True, env={**os.environ, "HOSTILE": "1"}, stdin=-3, stdout=-3, stderr=-3)
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)
"""


def test_no_process_survives_the_import_check(machine, deploy, restored):
    # Not in a slot, where the processes would belong to the slot.
    code = f"import sys\nif sys.argv[0] == '-c':\n    exec({SURVIVOR!r})\n    raise RuntimeError('not today')\n"

    output = deploy.fails({"hostile.py": code})

    assert "not today" in output
    assert processes(machine) == {}


def test_no_process_survives_the_check_before_a_reload(intruder, machine, deploy, playbook, restored):
    code = f"import sys\nif '--check-config' in sys.argv:\n    exec({SURVIVOR!r})\n"
    deploy.succeeds({"hostile.py": code})

    playbook.succeeds("reload")

    assert processes(machine) == {}


def test_no_process_survives_a_release_command(machine, deploy, tmp_path, restored):
    task = {
        "name": "Run a command of the release",
        "asgi.deploy.release_command": {
            "name": "{{ asgi_name }}",
            "release": "{{ asgi_release.id }}",
            "argv": ["python", "-c", SURVIVOR],
            "timeout": 30,
        },
    }
    hook = tmp_path / "hook.yml"
    hook.write_text(json.dumps([task]))

    deploy.succeeds({"hostile.py": ""}, asgi_app_hook_staged=str(hook))

    assert processes(machine) == {}


def test_endless_output_of_an_import_is_truncated(machine, deploy, restored):
    code = "import sys\nif sys.argv[0] == '-c':\n    while True: sys.stderr.write('x' * 65536)\n"

    output = deploy.fails({"hostile.py": code})

    assert "was not imported within" in output
    assert len(output) < 200_000


def test_app_cannot_block_its_uninstall(intruder, machine, deploy, playbook, restored):
    deploy.succeeds({"hostile.py": ""}, **SINGLE)
    intruder.run(CODE + MAIN + ATTEMPTS["forks faster than it is killed"])

    playbook.succeeds("uninstall", asgi_uninstall="intruder")

    assert not machine.user("intruder").exists
    assert not machine.file("/etc/systemd/system/intruder@.service").exists
