#!/usr/bin/env python
"""Deploy an example to a disposable container on this computer, show its answers, and print the next steps.

`make demo` and `make demo-down` run this. The environment variables below configure it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml
from probe import ask, process_upload, websocket_echo

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = os.environ.get("EXAMPLE", "hello")
NAME = os.environ.get("DEMO_NAME", "asgi-demo")
IMAGE = os.environ.get("DEMO_IMAGE", "asgi-target:12")
PORTS = {
    "DEMO_HTTP_PORT": os.environ.get("DEMO_HTTP_PORT", "8080"),
    "DEMO_HTTPS_PORT": os.environ.get("DEMO_HTTPS_PORT", "8443"),
}


INVENTORY = Path("inventories/demo")
# The example fullstack is copied, as a user copies it, because its first run writes a password beside the inventory.
COPY = Path(".cache/demo/fullstack")


class Example(NamedTuple):
    """An app in examples/ with its inventory, its playbooks, and a function that shows its answers on a port."""

    inventory: Callable[[], Path]
    playbooks: tuple[str, ...]
    show: Callable[[int], None]
    page: str
    source: str


def hello_inventory() -> Path:
    return INVENTORY


def show_hello(https_port: int) -> None:
    answer = ask("localhost", https_port)
    print(f"HTTPS      https://localhost:{https_port}/      {answer.status}  {answer.text}")
    if answer.status != 200:
        sys.exit(f"The status is {answer.status} instead of 200.")
    echo = websocket_echo("localhost", https_port, "/ws", "hello, socket")
    print(f"WebSocket  wss://localhost:{https_port}/ws      sent 'hello, socket', received '{echo}'")
    if echo != "hello, socket":
        sys.exit("The answer is not an echo of the message.")


def fullstack_inventory() -> Path:
    """Copy the example, replace its host by the container, and return the inventory."""
    shutil.copytree("examples/fullstack", COPY, dirs_exist_ok=True)
    inventory = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
    variables = yaml.safe_load((INVENTORY / "group_vars/all.yml").read_text())
    host = inventory["all"]["children"].pop("asgi")["hosts"]["demo"]
    for name in ("asgi_proxy_server_names", "asgi_proxy_http_port", "asgi_proxy_https_port"):
        host[name] = variables[name]
    inventory["all"]["children"]["asgi"] = {"children": {"shop": {"hosts": {"demo": host}}}}
    (COPY / "hosts.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))
    return COPY / "hosts.yml"


def show_fullstack(https_port: int) -> None:
    picture = process_upload("localhost", https_port, Path("docs/how-to/tune-workers.png"))
    print(
        f"upload     https://localhost:{https_port}/      {picture['name']}: {picture['width']} x {picture['height']}"
    )
    answer = ask("localhost", https_port, picture["thumbnail"])
    print(
        f"thumbnail  https://localhost:{https_port}{picture['thumbnail']}      {answer.status}, {len(answer.body)} bytes"
    )
    if answer.status != 200:
        sys.exit(f"The status is {answer.status} instead of 200.")


EXAMPLES = {
    "hello": Example(
        hello_inventory, ("playbooks/site.yml",), show_hello, "/static/hello.html", "examples/hello/main.py"
    ),
    "fullstack": Example(
        fullstack_inventory,
        ("tests/hosts/redis.yml", str(COPY / "site.yml")),
        show_fullstack,
        "/",
        "examples/fullstack/app/main.py",
    ),
}


def main() -> None:
    os.chdir(ROOT)
    # Ansible ignores ansible.cfg in a world-writable checkout, unless this variable is set.
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    match sys.argv[1:]:
        case ["up"]:
            up()
        case ["down"]:
            down()
        case _:
            sys.exit("usage: demo.py up | down")


def up() -> None:
    if EXAMPLE not in EXAMPLES:
        sys.exit(f"EXAMPLE={EXAMPLE} is not an example; set it to {' or '.join(EXAMPLES)}.")
    example = EXAMPLES[EXAMPLE]
    started = time.monotonic()
    run("tools/engine.sh")
    check_ports()
    run("tests/hosts/image.py", "12", "--tag", IMAGE)
    inventory = example.inventory()

    say(f"create the container {NAME}")
    playbook(inventory, "tests/hosts/create.yml", "tests/hosts/prepare.yml", *example.playbooks[:-1])

    say(f"ansible-playbook -i {inventory} {example.playbooks[-1]}")
    playbook(inventory, example.playbooks[-1])

    say("send requests")
    https_port = int(PORTS["DEMO_HTTPS_PORT"])
    example.show(https_port)

    say(f"ansible-playbook -i {inventory} playbooks/status.yml")
    playbook(inventory, "playbooks/status.yml")

    command = "make demo" if EXAMPLE == "hello" else f"make demo EXAMPLE={EXAMPLE}"
    say(f"done in {time.monotonic() - started:.0f} s. Next steps:")
    print(
        f"""
  open the page        https://localhost:{https_port}{example.page} (the browser warns about the self-signed certificate)
  change the app       edit {example.source} and run `{command}` again, which deploys a new release without a lost request
  open a shell         docker exec -it {NAME} bash
  deploy your app      copy inventories/example, then run
                       .venv/bin/ansible-playbook -i inventories/mine playbooks/site.yml
  remove the demo      make demo-down
"""
    )


def down() -> None:
    try:
        run("docker", "rm", "--force", "--volumes", NAME, quiet=True)
    except FileNotFoundError:
        print("docker is not installed")
    print(f"container {NAME} is removed")


def check_ports() -> None:
    """Exit with a message if a program other than the demo listens on one of its ports."""
    own = subprocess.run(["docker", "port", NAME], capture_output=True, text=True, check=False).stdout
    for variable, port in PORTS.items():
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            sys.exit(f"{variable}={port} is not a port; set it to a number from 1 to 65535.")
        with socket.socket() as attempt:
            # Like Docker, count a port that was just closed as free.
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", int(port)))
            except OSError as exc:
                if f"127.0.0.1:{port}\n" not in own:
                    free = int(port) + 1000
                    sys.exit(
                        f"Port {port} is not available ({exc.strerror}). Choose another one: make demo {variable}={free}"
                    )
    if len(set(PORTS.values())) < len(PORTS):
        sys.exit("DEMO_HTTP_PORT and DEMO_HTTPS_PORT are the same; set two different ports.")


def playbook(inventory: Path, *paths: str) -> None:
    run(str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), *paths)


def run(*command: str, quiet: bool = False) -> None:
    """Run *command*. Exit with its status if it fails."""
    status = subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None, check=False).returncode
    if status != 0:
        sys.exit(status)


def say(message: str) -> None:
    print(f"\n==> {message}", flush=True)


if __name__ == "__main__":
    main()
