"""The command asgi on a machine: in a terminal, over ssh with sudo, in scripts, and without side effects."""

from __future__ import annotations

import json
import os
import pty
import select
import time
from pathlib import Path

import pytest
import yaml

INVENTORY = yaml.safe_load((Path(__file__).parents[1] / "inventory/hosts.yml").read_text())
HARDENED = INVENTORY["all"]["children"]["machines"]["children"]["debian13"]["vars"]
PASSWORD = HARDENED["ansible_become_password"]
SECRET = "not-for-other-eyes"


class Terminal:
    """A program in a pseudo-terminal, as if a user ran it."""

    def __init__(self, *command: str) -> None:
        self.output = ""
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "xterm"
            os.execvp(command[0], command)

    def expect(self, text: str, seconds: float = 20) -> str:
        """Wait until the program prints *text*; return the output before it since the last call."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} does not follow in {self.output!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.output += os.read(self.terminal, 4096).decode(errors="replace")
        before, _text, self.output = self.output.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def status(self) -> int:
        """Wait for the end of the program, and return its exit status."""
        while True:
            try:
                if not os.read(self.terminal, 4096):
                    break
            except OSError:  # The terminal is closed.
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal(one_hello):
    """Return a function that starts ``asgi hello`` with arguments in a terminal on the machine."""

    def start(*arguments):
        return Terminal("docker", "exec", "--interactive", "--tty", one_hello.machine, "asgi", "hello", *arguments)

    return start


@pytest.fixture
def ssh(hellos):
    """Return a function that starts a command in a terminal over ssh, as an administrator who needs a password for sudo."""
    app = next(app for app in hellos if app.machine.endswith("debian13"))
    proxy = f"ProxyCommand=docker exec -i {app.machine} /usr/sbin/sshd -i"
    options = [proxy, "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    key = f"{os.environ['MOLECULE_EPHEMERAL_DIRECTORY']}/deployer"

    def start(command):
        return Terminal(
            "ssh",
            "-tt",
            "-i",
            key,
            *(f"-o{option}" for option in options),
            f"{HARDENED['ansible_user']}@{app.machine}",
            command,
        )

    return start


@pytest.fixture
def sudo(ssh):
    """Return a function that starts a command as ssh() does, as root, and answers sudo's question for the password."""

    def start(command):
        terminal = ssh(f"sudo {command}")
        terminal.expect("password for deployer:")
        terminal.type(f"{PASSWORD}\n")
        return terminal

    return start


def release_of(app):
    return app.json("/")["release"]


def test_status_and_releases(app):
    status = app.host.check_output(f"asgi {app.name} status")
    assert dict(line.split(maxsplit=1) for line in status.splitlines())["slot"] == app.live
    assert f"python       {app.host.check_output(f'/srv/{app.name}/current/.venv/bin/python -V').split()[1]}" in status
    release = os.path.basename(app.host.file(f"/srv/{app.name}/current").linked_to)
    [live] = [line for line in app.host.check_output(f"asgi {app.name} releases").splitlines() if " live" in line]
    assert live.startswith(release)
    assert app.name in app.host.check_output("asgi").split()


def test_a_command_has_the_context_of_the_app(hello):
    script = (
        "import json, os, main; print(json.dumps([os.getcwd(), os.environ['HELLO_SECRET'], os.getuid(), main.__file__,"
        " os.access('/etc/asgi', os.R_OK) and os.listdir('/etc/asgi')]))"
    )
    found = json.loads(hello.host.check_output("asgi hello run python -c %s", script))
    code = f"/srv/hello/releases/{release_of(hello)}/code"
    assert found == [code, SECRET, hello.host.user("hello").uid, f"{code}/main.py", []]


def test_the_status_and_the_streams_of_a_command(one_hello):
    done = one_hello.host.run("echo input | asgi hello run sh -c 'cat; echo error >&2; exit 7'")
    assert (done.rc, done.stdout, done.stderr) == (7, "input\n", "error\n")
    done = one_hello.host.run("asgi hello run nosuch")
    assert (done.rc, done.stderr) == (127, "asgi: nosuch: No such file or directory\n")


def test_a_terminated_command_terminates(one_hello):
    """Signals to asgi reach the command, whose exit status is that of asgi."""
    script = "echo up; trap 'echo terminated; exit 9' TERM; sleep 60 & wait"
    one_hello.host.check_output(
        "sh -c %s", f'asgi hello run sh -c "{script}" >/var/tmp/out 2>&1 & echo $! >/var/tmp/pid'
    )
    one_hello.host.check_output("sh -c 'until grep -q up /var/tmp/out; do sleep 0.1; done'")
    one_hello.host.check_output("sh -c 'kill $(cat /var/tmp/pid)'")
    one_hello.host.check_output("sh -c 'while kill -0 $(cat /var/tmp/pid) 2>/dev/null; do sleep 0.1; done'")
    assert one_hello.host.file("/var/tmp/out").content_string == "up\nterminated\n"
    assert "asgi-command-hello" not in one_hello.host.check_output("systemctl list-units 'asgi-command-*'")
    one_hello.host.check_output("rm /var/tmp/out /var/tmp/pid")


def test_a_shell_at_a_terminal(one_hello, terminal):
    shell = terminal("shell")
    shell.expect("code$ ")
    shell.type("tty; echo $HELLO_SECRET | tr a-z A-Z\n")
    assert "/dev/pts/" in shell.expect(SECRET.upper())
    shell.expect("code$ ")
    shell.type("touch /srv/hello/x\n")
    shell.expect("Read-only file system")
    shell.type("sleep 60\n")
    shell.expect("sleep 60")
    time.sleep(0.5)
    shell.type("\x03")
    shell.expect("code$ ", seconds=5)
    shell.type("exit 5\n")
    assert shell.status() == 5


def test_ctrl_c_interrupts_a_command(terminal):
    command = terminal("run", "python", "-c", "import time; print('up', flush=True); time.sleep(60)")
    command.expect("up")
    command.type("\x03")
    command.expect("KeyboardInterrupt")
    assert command.status() == 130


def test_logs_follow(one_hello, terminal):
    logs = terminal("logs", "--follow", "--lines=0", "web")
    time.sleep(1)
    one_hello.host.check_output(f"systemd-cat --identifier=other echo unrelated; kill -HUP {one_hello.master}")
    assert "unrelated" not in logs.expect("started release")
    logs.type("\x03")
    assert logs.status() == 130


def test_an_administrator_uses_the_command_over_ssh(ssh, sudo):
    refused = ssh("asgi hello status")
    refused.expect("asgi: root is required -> sudo asgi hello status")
    assert refused.status() == 1

    shell = sudo("asgi hello shell")
    shell.expect("code$ ")
    shell.type("id -un; python -c 'import main; print(main.app.title)'\n")
    shell.expect("hello\r\n")
    shell.type("exit 3\n")
    assert shell.status() == 3

    command = sudo("asgi hello run python -c 'import os; print(os.environ[\"ASGI_APP\"] * 2)'")
    command.expect("hellohello")
    assert command.status() == 0
    logs = sudo("asgi hello logs --follow")
    logs.expect("started release")
    logs.type("\x03")
    # ssh returns 255 for a command that a signal has ended
    assert logs.status() == 255


def test_a_restart_replaces_the_main_process(one_hello):
    before, slot = one_hello.master, one_hello.live
    output = one_hello.host.check_output("umask 077; asgi hello restart")
    assert output == f"release {release_of(one_hello)} was restarted and is live in slot {one_hello.live}"
    assert one_hello.live != slot
    assert one_hello.master != before
    assert one_hello.ask("/health").status == 200


def test_values_of_the_environment_stay_secret(one_hello):
    assert "HELLO_SECRET" in one_hello.host.check_output("asgi hello env --names").split()
    record = "for number in 1 2 3; do cat /proc/[0-9]*/cmdline; systemctl show 'asgi-command-*'; sleep 0.3; done"
    recorded = one_hello.host.check_output(f"asgi hello run sleep 2 & sleep 1; ({record}) | tr '\\0' ' '; wait")
    assert "--unit=asgi-command-hello" in recorded
    assert SECRET not in recorded
    assert SECRET not in one_hello.journal()


def test_a_run_without_changes_keeps_the_program(one_hello):
    program = one_hello.host.file("/opt/asgi/commands/hello.pyz")
    assert (program.user, program.group, program.mode) == ("root", "root", 0o644)
    assert one_hello.host.file("/usr/local/bin/asgi").mode == 0o755
