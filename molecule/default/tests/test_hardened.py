"""The second machine is hardened (tests/hosts/hardened.yml). The other tests of this scenario run on it too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

INVENTORY = Path(__file__).parents[1] / "inventory"

# Inventory variables that would run a controller task on another machine, or with a sudo that does not exist.
WRONG_LOCALHOST = {
    "ansible_become": True,
    "ansible_become_exe": "/no/such/sudo",
    "ansible_connection": "ssh",
    "ansible_host": "127.0.0.1",
    "ansible_port": 1,
    "ansible_python_interpreter": "/no/such/python",
}

VARIABLES = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]["machines"]["children"]["debian13"]
PASSWORD = VARIABLES["vars"]["ansible_become_password"]


@pytest.fixture
def hardened(hellos):
    return next(app for app in hellos if app.machine.endswith("debian13"))


def test_machine_is_hardened(hardened):
    """The following tests depend on it."""
    assert hardened.host.check_output("su --login deployer --command umask") == "0077"
    as_root = f"echo '{PASSWORD}' | sudo --stdin --prompt= sh -c umask"
    assert hardened.host.check_output("runuser -u deployer -- sh -c %s", as_root) == "0077"
    assert hardened.host.run("runuser -u deployer -- sudo --non-interactive --reset-timestamp true").rc != 0
    for mount, option in {"/tmp": "noexec", "/var/tmp": "noexec", "/dev/shm": "noexec", "/proc": "hidepid="}.items():
        assert option in hardened.host.check_output(f"findmnt --noheadings --output OPTIONS {mount}"), mount


def test_public_files_are_readable_by_all_accounts(hardened):
    find = (
        "find /etc/asgi /etc/nginx/conf.d /opt/asgi /srv/hello /etc/systemd/system/hello* /etc/tmpfiles.d -xdev "
        r"\( -type d ! -perm -0055 -o -type f ! -perm -0044 \) -printf '%m %u:%g %p\n'"
    )
    closed = {
        path: (mode, owner)
        for mode, owner, path in (line.split() for line in hardened.host.check_output(find).splitlines())
        # except the files of the app, and locks
        if not path.startswith(("/srv/hello/cache", "/srv/hello/shared")) and not path.endswith(".lock")
    }
    configs = {path: kept for path, kept in closed.items() if path.startswith("/srv/hello/configs/")}
    assert set(configs.values()) == {("750", "root:hello"), ("640", "root:hello")}
    secrets = {path for path in closed if path not in configs}
    assert "/srv/hello/releases.json" in secrets
    assert {path.rpartition("/")[2] for path in secrets} <= {"releases.json", "tls", "live.pem"}


def test_maintenance_page_is_served(hardened, playbook):
    try:
        playbook.succeeds("maintenance_page", *hardened.limit, asgi_maintenance="on")
        assert hardened.ask("/").status == 503
    finally:
        playbook.succeeds("maintenance_page", *hardened.limit, asgi_maintenance="off")
    assert hardened.ask("/").status == 200


def test_controller_tasks_ignore_connection_variables_of_the_inventory(playbook, tmp_path):
    inventory = tmp_path / "localhost.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": WRONG_LOCALHOST}}}))
    limit = ("--inventory", str(inventory), "--limit", "hello")
    playbook.succeeds("status", *limit, asgi_status_json=str(tmp_path / "s.json"), asgi_status_strict=False)
    assert {app["name"] for app in json.loads((tmp_path / "s.json").read_text())["apps"]} >= {"hello"}

    _status, output = playbook("doctor", *limit, asgi_doctor_file=str(tmp_path / "doctor.txt"))
    assert "UNREACHABLE" not in output
    assert "debian13-hello" in (tmp_path / "doctor.txt").read_text()

    tune = {"asgi_tune_seconds": 1, "asgi_tune_warmup": 0, "asgi_tune_rounds": 1, "asgi_tune_workers": [2]}
    limit = ("--inventory", str(inventory), "--limit", "debian13-hello")
    playbook.succeeds("tune", *limit, **tune, asgi_tune_with_traffic=True, asgi_tune_json=str(tmp_path / "t.json"))
    assert json.loads((tmp_path / "t.json").read_text())


def test_deploy_repairs_a_damaged_release_log(hardened, playbook):
    log = "/srv/hello/releases.json"
    original = hardened.host.file(log).content_string
    limit = hardened.limit
    try:
        hardened.host.check_output(f"truncate --size=40 {log}")
        output = playbook.fails("rollback", *limit)
        assert f"{log} is damaged" in output
        assert "run deploy.yml" in output
        output = playbook.succeeds("status", *limit, asgi_status_strict=False)
        assert f"{log} is damaged" in output

        output = playbook.succeeds("deploy", *limit)
        assert f"{log}.damaged" in output
        entries = json.loads(hardened.host.file(log).content_string)
        assert [entry["result"] for entry in entries] == ["live"]
    finally:
        hardened.host.run(f"cat > {log} <<'EOF'\n{original}EOF\nrm -f {log}.damaged")
    status, output = playbook("deploy", *limit)
    assert (status, "changed=0" in output) == (0, True), output
