"""The action plugin preflight, from the variables of a play to the message."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.asgi.deploy.plugins.action import preflight as preflight_action
from ansible_collections.asgi.deploy.plugins.action.preflight import ActionModule
from ansible_collections.asgi.deploy.plugins.modules import preflight as documented
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.playbooks import VARIABLES
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import balanced_app
from ansible_core import trust_as_template

GOOD = {
    "asgi_name": "shop",
    "asgi_module": "main:app",
    "asgi_app_source": {"path": "shop"},
    "asgi_proxy_server_names": ["shop.example.com"],
    # The defaults of these variables need a lookup and a filter of the collection, which only Ansible's loader finds.
    "asgi_server_deployed_by": "anna",
    "asgi_app_server_requirements": ["gunicorn", "uvicorn", "uvicorn-worker"],
}


@pytest.fixture
def preflight(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/main.py").touch()
    (tmp_path / "shop/requirements.txt").touch()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path / "work"))

    def run(roles=("asgi_app", "asgi_server", "asgi_proxy"), entry_point="main", playbook=None, only=None, **changes):
        loader = DataLoader()
        loader.set_basedir("/")
        args = {"roles": list(roles), "entry_point": entry_point, **({"playbook": playbook} if playbook else {})}
        task = Mock(args=args, async_val=0, check_mode=False, diff=False)
        action = ActionModule(task, Mock(), Mock(), loader, Templar(loader), None)
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
        given = {**(only or GOOD), **changes}
        play = {"inventory_hostname": "web1", "ansible_play_hosts_all": ["web1"], "hostvars": {"web1": given}}
        return action.run(task_vars={**play, **given} if "inventory_hostname" in given else {**given, **play})

    return run


def message_of(preflight, **changes):
    with pytest.raises(AnsibleActionFail) as caught:
        preflight(**changes)
    return str(caught.value)


def test_relative_source_is_below_the_working_directory(preflight):
    assert preflight()["changed"] is False


def test_doubt_about_the_source_names_the_app(preflight, tmp_path):
    """Ansible prints identical warnings of several hosts only once, without the names of the hosts."""
    (tmp_path / "shop/requirements.txt").unlink()
    [warning] = preflight()["warnings"]
    assert warning.startswith("shop: asgi_app_source.path declares no dependencies, ")


@pytest.mark.parametrize(
    ("variable", "remedy"), [("asgi_proxy_static", "remove it for the default, or"), ("asgi_name", "remove it, or")]
)
def test_null_is_rejected(preflight, variable, remedy):
    message = message_of(preflight, **{variable: None})
    assert f"{variable} is null -> {remedy}" in message
    assert message.endswith("[value-null]")


def test_wrong_types_of_other_roles_are_reported_but_missing_variables_are_not(preflight):
    # asgi_server uses both variables, which belong to asgi_proxy.
    changes = {"asgi_proxy_read_timeout": "120", "asgi_proxy_server_names": "shop.example.com"}
    message = message_of(preflight, roles=["asgi_app", "asgi_server"], **changes)
    assert "asgi_proxy_read_timeout is the string '120'" in message
    assert "asgi_proxy_server_names is the string 'shop.example.com'" in message
    missing = {name: value for name, value in GOOD.items() if name != "asgi_proxy_server_names"}
    assert "asgi_proxy_server_names" in GOOD
    assert preflight(roles=["asgi_app", "asgi_server"], only=missing)["changed"] is False


def test_all_problems_are_reported_at_once(preflight):
    message = message_of(preflight, asgi_proxy_server_names="shop.example.com", asgi_server_graceful_timeout="60")
    assert """-e '{"asgi_proxy_server_names": ["shop.example.com"]}'""" in message
    assert """-e '{"asgi_server_graceful_timeout": 60}'""" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"asgi_app_source": "https://anna:p@hidden@git.example/shop.git"},
        {"asgi_app_source": {"git": "https://anna:p@hidden@git.example/shop.git", "path": "x", "ref": "v1"}},
        {"asgi_app_source": {"package": "shop @ https://anna:p@hidden@files.example/shop.whl"}},
        {"asgi_app_requirements": "shop @ https://anna:p@hidden@files.example/shop.whl"},
    ],
)
def test_messages_mask_credentials(preflight, changes):
    message = message_of(preflight, **changes)
    assert "hidden" not in message
    assert "://********@" in message


def test_claims_are_returned(preflight):
    found = preflight(asgi_server_metrics=True, asgi_proxy_redirect_names=["www.shop.example.com"])["claims"]
    assert found["app"] == "shop"
    assert found["names"]["443"] == ["shop.example.com", "www.shop.example.com"]
    assert found["metrics_group"] == "adm"
    assert "metrics" not in found
    assert "names" not in preflight(roles=["asgi_app", "asgi_server"])["claims"]
    assert "claims" not in preflight(roles=["asgi_app"])


def test_problem_between_two_roles_is_reported_once(preflight):
    message = message_of(preflight, asgi_server_metrics=True, asgi_server_metrics_listen="127.0.0.1:443")
    assert "1 problem in" in message
    assert "asgi_server_metrics_listen is 127.0.0.1:443, but asgi_proxy_https_port is 443" in message
    assert message.endswith("[port-duplicate]")


def test_variables_of_a_playbook_are_checked(preflight):
    assert preflight(playbook="deploy", asgi_deploy_batches="1,50%")["changed"] is False
    message = message_of(preflight, playbook="deploy", asgi_deploy_on_failure="ignore")
    assert "asgi_deploy_on_failure is 'ignore' -> use 'rollback' or 'stop'" in message


def test_documentation_lists_every_playbook():
    options = yaml.safe_load(documented.DOCUMENTATION)["options"]
    assert sorted(options["playbook"]["choices"]) == sorted(VARIABLES)


def test_variables_of_a_playbook_are_templated(preflight):
    message = message_of(preflight, playbook="reload", roles=[], asgi_deploy_batches=trust_as_template("{{ 0 * 2 }}"))
    assert re.search("asgi_deploy_batches is '?0", message), "a string before ansible-core 2.19"


def test_uninstall_needs_only_the_name_of_the_app_twice(preflight):
    nothing = {"asgi_app_source": None, "asgi_module": 1, "asgi_proxy_server_names": "none"}
    assert preflight(entry_point="uninstall", asgi_uninstall="shop", **nothing)["changed"] is False


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "asgi_uninstall is not set -> set it ("),
        (
            {"asgi_uninstall": "tiles"},
            "asgi_uninstall is 'tiles', but asgi_name is 'shop' -> set it to the name of the app",
        ),
        ({"asgi_uninstall": True}, "asgi_uninstall is 'True', but asgi_name is 'shop'"),
        ({"asgi_uninstall": ""}, "asgi_uninstall is '', but asgi_name is 'shop'"),
        ({"asgi_uninstall": "../srv", "asgi_name": "../srv"}, "[app-name-invalid]"),
        (
            {"asgi_uninstall": "shop", "asgi_app_uninstall_data": "yes"},
            "use true or false; on the command line as JSON",
        ),
        ({"asgi_uninstall": "shop", "asgi_proxy_uninstall_logs": 1}, "asgi_proxy_uninstall_logs is the int 1"),
    ],
)
def test_uninstall_of_another_app_is_rejected(preflight, changes, expected):
    assert expected in message_of(preflight, entry_point="uninstall", **changes)


BALANCER = {
    "roles": ["asgi_balancer"],
    "inventory_hostname": "lb3",
    "asgi_balancer_address": "10.0.0.13",
    "asgi_balancer_peers": ["10.0.0.13"],
}


def balanced(trusted):
    host = {**GOOD, "asgi_proxy_trusted": trusted}
    return {**BALANCER, "asgi_balancer_app": balanced_app(["web1"], {"web1": host}, "shop")}


def test_doubt_is_a_warning(preflight):
    assert preflight(**balanced(["10.0.0.13"]))["changed"] is False

    result = preflight(**balanced(["10.0.0.11"]))
    assert result["changed"] is False
    (warning,) = result["warnings"]
    assert warning.startswith("lb3: asgi_proxy_trusted is ['10.0.0.11'] for web1, without 10.0.0.13, ")


def test_doubt_is_not_among_the_errors(preflight):
    message = message_of(preflight, **balanced(["10.0.0.11"]), asgi_balancer_health_fall=0)
    assert "1 problem in the variables of lb3" in message
    assert "asgi_balancer_health_fall is 0" in message


def test_hosts_must_not_write_the_same_file(preflight):
    path = {"asgi_tune_html": "tune.html"}
    assert preflight(roles=(), playbook="tune", **path) == {"changed": False}, "the only host"

    message = message_of(preflight, roles=(), playbook="tune", inventory_hostname="web2", **path)
    assert "asgi_tune_html is 'tune.html' here and for the first host" in message


def test_single_process_is_not_tuned(preflight):
    single = {"roles": ["asgi_server"], "asgi_server_type": "uvicorn"}
    assert preflight(playbook="deploy", **single)["changed"] is False
    assert preflight(playbook="tune", roles=["asgi_server"])["changed"] is False

    message = message_of(preflight, playbook="tune", **single)
    assert message.endswith("[tune-single-process]")


def test_all_filters_are_loaded_before_ansible_forks():
    """Runs in a separate process, because other tests load filters too."""
    program = (
        "import sys; from ansible_collections.asgi.deploy.plugins.action import preflight; "
        "print(*(name.rpartition('.')[2] for name in sys.modules if name.startswith(preflight.filters.__name__ + '.')))"
    )
    path = {"PYTHONPATH": str(Path(preflight_action.COLLECTION) / ".collections")}
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True, env={**os.environ, **path}).split()
    there = [file.stem for file in (preflight_action.COLLECTION / "plugins/filter").glob("*.py")]
    assert sorted(loaded) == sorted(there) != []


def test_misspelled_variable_is_reported_with_the_nearest_name(preflight):
    message = message_of(preflight, asgi_server_wokers=4)
    assert "asgi_server_wokers is not a variable of this collection -> did you mean asgi_server_workers?" in message
    for options in ({"entry_point": "uninstall", "asgi_uninstall": "shop"}, {"roles": [], "playbook": "reload"}):
        assert "did you mean asgi_server_workers?" in message_of(preflight, asgi_server_wokers=4, **options)
    assert "did you mean asgi_balancer_peers?" in message_of(
        preflight, **balanced(["10.0.0.13"]), asgi_balancer_peer=[]
    )
    maintenance = {"roles": [], "playbook": "maintenance_page", "asgi_maintenance": "on"}
    assert preflight(**maintenance) == {"changed": False}
    assert "did you mean asgi_maintenance?" in message_of(preflight, **maintenance, asgi_maintenence="on")


def test_misspelled_variable_is_reported_with_other_problems(preflight):
    given = {("asgi_modul" if name == "asgi_module" else name): value for name, value in GOOD.items()}
    message = message_of(preflight, only=given)
    assert "asgi_modul is not a variable of this collection -> did you mean asgi_module?" in message
    assert "asgi_module is not set" in message


def test_unknown_variables_can_be_warnings(preflight):
    result = preflight(asgi_shop_db="x", asgi_unknown_variables=trust_as_template("{{ 'warn' }}"))
    (warning,) = result["warnings"]
    assert warning.startswith(
        "web1: asgi_shop_db is not a variable of this collection -> use a prefix other than asgi_"
    )
    assert "asgi_unknown_variables is 'off'" in message_of(preflight, asgi_shop_db="x", asgi_unknown_variables="off")


@pytest.mark.parametrize("version", ["2.15.13", "2.14.0rc1", "2.9.27"])
def test_older_ansible_core_is_rejected(version):
    with pytest.raises(
        AnsibleError, match=f"needs ansible-core 2.16 or newer .* this is {version}; nothing has been changed"
    ):
        preflight_action.refuse_old_controller(version, "3.12.1")


def test_older_python_is_rejected():
    with pytest.raises(
        AnsibleError, match=r"needs Python 3.11 or newer .* this is 3.10.13; nothing .* --python python3.11 "
    ):
        preflight_action.refuse_old_controller("2.17.14", "3.10.13")


def test_oldest_ansible_core_is_that_of_the_collection():
    runtime = yaml.safe_load((preflight_action.COLLECTION / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == ">={}.{}.0".format(*preflight_action.OLDEST_CORE)
    for file in (preflight_action.COLLECTION / "roles").glob("*/meta/main.yml"):
        oldest = yaml.safe_load(file.read_text())["galaxy_info"]["min_ansible_version"]
        assert oldest == "{}.{}".format(*preflight_action.OLDEST_CORE)
    for version in ("2.16.0b1", "2.16.19", "2.21.1", "2.22.0.dev0"):
        preflight_action.refuse_old_controller(version, "3.11.2")


def test_native_templates_of_an_older_core_are_rejected(preflight, monkeypatch):
    monkeypatch.setattr(preflight_action.C, "DEFAULT_JINJA2_NATIVE", True, raising=False)
    monkeypatch.setattr(preflight_action, "KEEPS_TYPES", True)
    assert preflight()["changed"] is False
    monkeypatch.setattr(preflight_action, "KEEPS_TYPES", False)
    assert "supports jinja2_native only with ansible-core 2.19 or newer" in message_of(preflight)
