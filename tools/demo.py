#!/usr/bin/env python
"""Deploy the example app to a disposable machine on this computer, show that it answers, and say how to go on.

`make demo` and `make demo-down` run this; the environment variables below are the knobs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from probe import ask, websocket_echo

ROOT = Path(__file__).resolve().parents[1]
NAME = os.environ.get("DEMO_NAME", "asgi-demo")
IMAGE = os.environ.get("DEMO_IMAGE", "asgi-target:12")
PORTS = {
    "DEMO_HTTP_PORT": os.environ.get("DEMO_HTTP_PORT", "8080"),
    "DEMO_HTTPS_PORT": os.environ.get("DEMO_HTTPS_PORT", "8443"),
}


def main() -> None:
    os.chdir(ROOT)
    # also where a checkout that others may write to makes ansible skip the file
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    match sys.argv[1:]:
        case ["up"]:
            up()
        case ["down"]:
            down()
        case _:
            sys.exit("usage: demo.py up | down")


def up() -> None:
    started = time.monotonic()
    run("tools/engine.sh")
    check_ports()
    run("tests/hosts/image.py", "12", "--tag", IMAGE)

    say(f"the machine: container {NAME}")
    playbook("tests/hosts/create.yml", "tests/hosts/prepare.yml")

    say("ansible-playbook -i inventories/demo playbooks/site.yml")
    playbook("playbooks/site.yml")

    say("what it serves")
    https_port = int(PORTS["DEMO_HTTPS_PORT"])
    answer = ask("localhost", https_port)
    print(f"HTTPS      https://localhost:{https_port}/      {answer.status}  {answer.text}")
    if answer.status != 200:
        sys.exit("That should have been 200.")
    echo = websocket_echo("localhost", https_port, "/ws", "hello, socket")
    print(f"WebSocket  wss://localhost:{https_port}/ws      sent 'hello, socket', received '{echo}'")
    if echo != "hello, socket":
        sys.exit("That should have been an echo.")

    say("ansible-playbook -i inventories/demo playbooks/status.yml")
    playbook("playbooks/status.yml")

    say(f"done in {time.monotonic() - started:.0f} s. From here:")
    print(
        f"""
  open it              https://localhost:{https_port}/static/hello.html (self-signed: the browser will warn)
  change it            edit examples/hello/main.py, then `make demo` again: a new release, no request lost
  look inside          docker exec -it {NAME} bash
  deploy your own      copy inventories/example, then
                       .venv/bin/ansible-playbook -i inventories/mine playbooks/site.yml
  remove it            make demo-down
"""
    )


def down() -> None:
    try:
        run("docker", "rm", "--force", "--volumes", NAME, quiet=True)
    except FileNotFoundError:
        print("no Docker here")
    print(f"container {NAME} is gone")


def check_ports() -> None:
    """End with a sentence if something other than the demo itself listens on one of its ports."""
    mine = subprocess.run(["docker", "port", NAME], capture_output=True, text=True, check=False).stdout
    for variable, port in PORTS.items():
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            sys.exit(f"{variable}={port} is not a port: give a number from 1 to 65535.")
        with socket.socket() as attempt:
            # as the engine binds: what has just been closed is free
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", int(port)))
            except OSError as exc:
                if f"127.0.0.1:{port}\n" not in mine:
                    free = int(port) + 1000
                    sys.exit(
                        f"Port {port} cannot be used here ({exc.strerror}). Choose another: make demo {variable}={free}"
                    )
    if len(set(PORTS.values())) < len(PORTS):
        sys.exit("DEMO_HTTP_PORT and DEMO_HTTPS_PORT are the same: give two different ports.")


def playbook(*paths: str) -> None:
    run(str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventories/demo", *paths)


def run(*command: str, quiet: bool = False) -> None:
    """Run *command*; end with its status if it fails, as it has said why."""
    status = subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None, check=False).returncode
    if status != 0:
        sys.exit(status)


def say(message: str) -> None:
    print(f"\n==> {message}", flush=True)


if __name__ == "__main__":
    main()
