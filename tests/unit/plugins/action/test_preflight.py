"""From the variables of a play to what is told about them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.asgi.deploy.plugins.action import preflight as preflight_action
from ansible_collections.asgi.deploy.plugins.action.preflight import ActionModule
from ansible_collections.asgi.deploy.plugins.modules import preflight as documented
from ansible_collections.asgi.deploy.plugins.plugin_utils.balancer import balanced_app
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.playbooks import VARIABLES

GOOD = {
    "asgi_name": "shop",
    "asgi_module": "main:app",
    "asgi_app_source": {"path": "shop"},
    "asgi_proxy_server_names": ["shop.example.com"],
    # their defaults are a lookup, and a filter of the collection, which only Ansible's own loader finds
    "asgi_server_deployed_by": "anna",
    "asgi_app_server_requirements": ["gunicorn", "uvicorn", "uvicorn-worker"],
}


@pytest.fixture
def preflight(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/main.py").touch()
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


def told(preflight, **changes):
    with pytest.raises(AnsibleActionFail) as caught:
        preflight(**changes)
    return str(caught.value)


def test_a_relative_source_is_found_from_the_working_directory(preflight):
    assert preflight() == {"changed": False}


def test_a_variable_that_is_null(preflight):
    message = told(preflight, asgi_proxy_static=None)
    assert "asgi_proxy_static is null -> leave it out for the default, or" in message


def test_a_required_variable_that_is_null(preflight):
    assert "asgi_name is null -> leave it out, or" in told(preflight, asgi_name=None)


def test_a_neighbour_s_value_of_a_wrong_type_is_told_and_what_it_lacks_is_not(preflight):
    # asgi_server takes the timeout of its requests from it, and the name that it probes with from the next one
    changes = {"asgi_proxy_read_timeout": "120", "asgi_proxy_server_names": "shop.example.com"}
    message = told(preflight, roles=["asgi_app", "asgi_server"], **changes)
    assert "asgi_proxy_read_timeout is the text '120'" in message
    assert "asgi_proxy_server_names is the text 'shop.example.com'" in message
    missing = {name: value for name, value in GOOD.items() if name != "asgi_proxy_server_names"}
    assert "asgi_proxy_server_names" in GOOD
    assert preflight(roles=["asgi_app", "asgi_server"], only=missing) == {"changed": False}


def test_every_text_for_another_type_is_told_at_once(preflight):
    message = told(preflight, asgi_proxy_server_names="shop.example.com", asgi_server_graceful_timeout="60")
    assert "2 problems" in message
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
def test_credentials_are_not_told(preflight, changes):
    message = told(preflight, **changes)
    assert "hidden" not in message
    assert "://********@" in message


def test_the_variables_of_a_playbook(preflight):
    assert preflight(playbook="deploy", asgi_deploy_batches="1,50%") == {"changed": False}
    message = told(preflight, playbook="deploy", asgi_deploy_on_failure="ignore")
    assert "asgi_deploy_on_failure is 'ignore' -> give 'rollback' or 'stop'" in message


def test_the_documentation_names_every_playbook():
    options = yaml.safe_load(documented.DOCUMENTATION)["options"]
    assert sorted(options["playbook"]["choices"]) == sorted(VARIABLES)


def test_the_variables_of_a_playbook_are_templated(preflight):
    message = told(preflight, playbook="reload", roles=[], asgi_deploy_batches=trust_as_template("{{ 0 * 2 }}"))
    assert "asgi_deploy_batches is 0" in message


def test_removing_an_app_takes_its_name_twice_and_nothing_else(preflight):
    nothing = {"asgi_app_source": None, "asgi_module": 1, "asgi_proxy_server_names": "none"}
    assert preflight(entry_point="uninstall", asgi_uninstall="shop", **nothing) == {"changed": False}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "asgi_uninstall is not set -> it is: The name of the app that is to be removed"),
        ({"asgi_uninstall": "tiles"}, "asgi_uninstall is 'tiles', and asgi_name is 'shop' -> name the app"),
        ({"asgi_uninstall": True}, "asgi_uninstall is 'True', and asgi_name is 'shop'"),
        ({"asgi_uninstall": ""}, "asgi_uninstall is '', and asgi_name is 'shop'"),
        ({"asgi_uninstall": "../srv", "asgi_name": "../srv"}, "asgi_name is wrong: '../srv' cannot name an app"),
        (
            {"asgi_uninstall": "shop", "asgi_app_uninstall_data": "yes"},
            "give true or false; on the command line as JSON",
        ),
        ({"asgi_uninstall": "shop", "asgi_proxy_uninstall_logs": 1}, "asgi_proxy_uninstall_logs is the value 1"),
    ],
)
def test_removing_what_is_not_meant(preflight, changes, said):
    assert said in told(preflight, entry_point="uninstall", **changes)


BALANCER = {
    "roles": ["asgi_balancer"],
    "inventory_hostname": "lb3",
    "asgi_balancer_address": "10.0.0.13",
    "asgi_balancer_peers": ["10.0.0.13"],
}


def balanced(trusted):
    host = {**GOOD, "asgi_proxy_trusted": trusted}
    return {**BALANCER, "asgi_balancer_app": balanced_app(["web1"], {"web1": host}, "shop")}


def test_a_doubt_is_a_warning(preflight):
    assert preflight(**balanced(["10.0.0.13"])) == {"changed": False}

    result = preflight(**balanced(["10.0.0.11"]))
    assert result["changed"] is False
    (warning,) = result["warnings"]
    assert warning.startswith("lb3: asgi_proxy_trusted is ['10.0.0.11'] for web1, without 10.0.0.13, ")


def test_a_doubt_is_not_among_the_faults(preflight):
    message = told(preflight, **balanced(["10.0.0.11"]), asgi_balancer_health_fall=0)
    assert "1 problem in the variables of lb3" in message
    assert "asgi_balancer_health_fall is 0" in message


def test_hosts_that_would_write_the_same_file(preflight):
    path = {"asgi_tune_html": "tune.html"}
    assert preflight(roles=(), playbook="tune", **path) == {"changed": False}, "the only host"

    message = told(preflight, roles=(), playbook="tune", inventory_hostname="web2", **path)
    assert "asgi_tune_html is 'tune.html' here and for the first host" in message


def test_a_single_process_is_not_tuned(preflight):
    single = {"roles": ["asgi_server"], "asgi_server_type": "uvicorn"}
    assert preflight(playbook="deploy", **single) == {"changed": False}
    assert preflight(playbook="tune", roles=["asgi_server"]) == {"changed": False}

    message = told(preflight, playbook="tune", **single)
    assert "asgi_server_type is uvicorn, which is a single process: there is no number of workers to find" in message


def test_the_filters_are_loaded_where_all_processes_of_ansible_come_from():
    """It is a process of its own, as other tests load them as well."""
    program = (
        "import sys; from ansible_collections.asgi.deploy.plugins.action import preflight; "
        "print(*(name.rpartition('.')[2] for name in sys.modules if name.startswith(preflight.filters.__name__ + '.')))"
    )
    path = {"PYTHONPATH": str(Path(preflight_action.COLLECTION) / ".collections")}
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True, env={**os.environ, **path}).split()
    there = [file.stem for file in (preflight_action.COLLECTION / "plugins/filter").glob("*.py")]
    assert sorted(loaded) == sorted(there) != []
