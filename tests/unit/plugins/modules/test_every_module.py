"""Every module is a HostModule, and nginx and the app can read the files that it creates."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible_collections.asgi.deploy.plugins.module_utils._host import host_module
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import UMASK
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import SystemdError
from ansible_core import patch_module_args

MODULES = Path(__file__).parents[4] / "plugins/modules"
# modules that an action plugin implements on the controller
DOCUMENTATION_ONLY = {"fleet_check.py", "fleet_notify.py", "fleet_plan.py", "fleet_report.py", "preflight.py"}
NAMES = sorted(path.name for path in MODULES.glob("*.py") if path.name not in DOCUMENTATION_ONLY)


@pytest.fixture(autouse=True)
def umask():
    """Run with umask 077, and restore the previous umask."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("name", NAMES)
def test_module_is_a_host_module(name):
    text = (MODULES / name).read_text()
    main = text.partition("\ndef main():\n")[2]
    assert re.search(r"^    module = (?:App|Host)Module\(", main, re.MULTILINE), (
        "the umask of root's login shell would apply"
    )
    # only annotations may name AnsibleModule
    assert not re.search(r"(?<!: )\bAnsibleModule\(", text)


@pytest.mark.parametrize("inherited", [0o022, 0o027, 0o077, 0o777])
def test_files_get_the_mode_that_a_module_asks_for(tmp_path, inherited):
    os.umask(inherited)
    with patch_module_args({}):
        HostModule(argument_spec={})
    os.makedirs(tmp_path / "a/b", mode=0o755)
    (tmp_path / "a/b/c").touch()
    assert [(tmp_path / path).stat().st_mode & 0o777 for path in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o644]
    assert os.umask(0) == UMASK


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Reported("the log is damaged -> remove it"), "the log is damaged -> remove it"),
        (ValueError("'x y' is not a valid app name"), "'x y' is not a valid app name"),
        (SystemdError("Unit x.service not found."), "systemd: Unit x.service not found."),
        (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), "/etc/x: Permission denied"),
    ],
)
def test_an_error_becomes_the_message_of_the_result(capsys, error, message):
    with patch_module_args({}):
        module = HostModule(argument_spec={})
        with pytest.raises(SystemExit), module.reporting("not done: ", release="r1"):
            raise error
    result = json.loads(capsys.readouterr().out)
    assert (result["failed"], result["msg"], result["release"]) == (True, f"not done: {message}", "r1")


def test_unexpected_error_is_not_reported():
    with patch_module_args({}):
        module = HostModule(argument_spec={})
        with pytest.raises(KeyError), module.reporting():
            raise KeyError("a mistake in the module")


@pytest.mark.parametrize(
    ("option", "secrets"),
    [
        (["x @ https://reader:s3cr3t-pw@host.test/x.whl"], {"s3cr3t-pw", "reader:s3cr3t-pw"}),
        ({"a": {"b": "git+https://ghp_0123456789@host.test/x"}}, {"ghp_0123456789"}),
        (
            "https://a:p@ss:word1@host.test/ and https://b:2222222@host.test/",
            {"p@ss:word1", "2222222", "a:p@ss:word1", "b:2222222"},
        ),
        ("ssh://git@host.test/x", set()),
        (["x @ git+ssh://deployer@host.test/x", "SSH://deployer@host.test/x"], set()),
        ("git+ssh://deployer:s3cr3t-pw@host.test/x", {"s3cr3t-pw", "deployer:s3cr3t-pw"}),
        ("https://host.test/a@b", set()),
        (7, set()),
        (None, set()),
    ],
)
def test_credentials_in_urls_are_secrets(option, secrets):
    assert host_module.url_secrets(option) == secrets


def test_result_contains_no_credentials_of_a_url(capsys):
    with patch_module_args({"requirements": ["x @ https://reader:s3cr3t-pw@host.test/x.whl"]}):
        module = HostModule(argument_spec={"requirements": {"type": "list", "elements": "str"}})
        with pytest.raises(SystemExit):
            module.exit_json(requirements=module.params["requirements"])
    out = capsys.readouterr().out
    assert "module_args" in out
    assert "s3cr3t-pw" not in out


def test_values_of_hidden_options_are_not_masked_elsewhere(capsys):
    """The password of a development database is often the app's name, which occurs in every path of the result."""
    with patch_module_args({"environment": '{"DATABASE_URL": "postgresql://webshop:webshop@db/x"}'}):
        module = HostModule(argument_spec={"environment": {"type": "json", "no_log": True}})
        with pytest.raises(SystemExit):
            module.exit_json(directory="/srv/webshop")
    out = capsys.readouterr().out
    assert json.loads(out)["directory"] == "/srv/webshop"
    assert "postgresql" not in out


def test_old_python_fails_with_its_version(capsys, monkeypatch):
    monkeypatch.setattr(host_module.sys, "version_info", (3, 8, 18, "final", 0))
    with patch_module_args({}), pytest.raises(SystemExit):
        HostModule(argument_spec={})
    assert "is Python 3.8.18, and asgi.deploy needs 3.9 or newer" in json.loads(capsys.readouterr().out)["msg"]


def test_it_is_an_ansible_module():
    assert issubclass(HostModule, basic.AnsibleModule)
