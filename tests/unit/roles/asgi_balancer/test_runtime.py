"""The program that saves the state of HAProxy's servers, and checks that HAProxy responds."""

from __future__ import annotations

import importlib.util
import socket
import threading
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[4] / "roles/asgi_balancer/files/etc/haproxy/asgi/runtime.py"

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change ...
4 asgi_shop 1 web1 10.0.0.1 0 8 100 100 699 8 2 0 6 0 0 0 - 443 - 1 0 - - 0
4 asgi_shop 2 web2 10.0.0.2 2 0 100 100 699 8 2 0 6 0 0 0 - 443 - 1 0 - - 0
5 asgi_tiles 1 web1 10.0.0.1 2 0 100 100 699 8 2 0 6 0 0 0 - 443 - 1 0 - - 0
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    specification = importlib.util.spec_from_file_location("runtime", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    for name, value in {
        "DIRECTORY": tmp_path,
        "SOCKET": str(tmp_path / "api"),
        "STATE": str(tmp_path / "state"),
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.fixture
def api(program):
    """Return a function that makes a fake HAProxy send *text* as its next response."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(program.SOCKET)
        listening.listen()

        def answer(text):
            def serve():
                connection, _address = listening.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(text.encode())

            threading.Thread(target=serve, daemon=True).start()

        yield answer


def test_the_state_of_a_drained_server_is_saved(program, api, monkeypatch, tmp_path):
    (tmp_path / "asgi-shop.cfg").write_text("backend asgi_shop from asgi\n    server web1 10.0.0.1:443 weight 100\n")
    api(STATE)
    monkeypatch.setattr("sys.argv", ["runtime.py", "save"])
    program.main()
    assert (tmp_path / "state").read_text() == STATE
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_the_state_of_a_server_with_a_new_port_is_not_saved(program, tmp_path):
    (tmp_path / "asgi-shop.cfg").write_text(
        "backend asgi_shop from asgi\n    server web1 10.0.0.1:443\n    server web2 [2001:db8::1]:8443\n"
    )
    kept = program.current(STATE, program.configured_ports())
    assert kept == "".join(line for line in STATE.splitlines(keepends=True) if "web2" not in line)


def test_a_start_forgets_the_state(program, monkeypatch, tmp_path):
    (tmp_path / "state").write_text(STATE)
    monkeypatch.setattr("sys.argv", ["runtime.py", "forget"])
    program.main()
    assert (tmp_path / "state").read_text() == "1\n"


def test_the_check_fails_without_a_response(program, api, monkeypatch):
    monkeypatch.setattr("sys.argv", ["runtime.py", "check"])
    api("Name: HAProxy\n")
    program.main()
    api("")
    with pytest.raises(OSError, match="did not respond"):
        program.main()


def test_the_check_fails_without_haproxy(program, monkeypatch):
    monkeypatch.setattr("sys.argv", ["runtime.py", "check"])
    with pytest.raises(OSError, match="No such file"):
        program.main()
