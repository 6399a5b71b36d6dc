"""From the variables of a play to what is told about them."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.asgi.deploy.plugins.action.preflight import ActionModule

GOOD = {
    "asgi_name": "shop",
    "asgi_module": "main:app",
    "asgi_app_source": {"path": "shop"},
    "asgi_proxy_server_names": ["shop.example.com"],
    # its default is a lookup
    "asgi_server_deployed_by": "anna",
}


@pytest.fixture
def preflight(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/main.py").touch()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path / "work"))

    def run(roles=("asgi_app", "asgi_server", "asgi_proxy"), playbook=None, **changes):
        loader = DataLoader()
        loader.set_basedir("/")
        task = Mock(
            args={"roles": list(roles), **({"playbook": playbook} if playbook else {})},
            async_val=0,
            check_mode=False,
            diff=False,
        )
        action = ActionModule(task, Mock(), Mock(), loader, Templar(loader), None)
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
        given = {**GOOD, **changes}
        play = {"inventory_hostname": "web1", "ansible_play_hosts_all": ["web1"], "hostvars": {"web1": given}}
        return action.run(task_vars={**given, **play})

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


def test_a_neighbour_s_value_of_a_wrong_type_is_left_to_the_neighbour(preflight):
    changes = {"asgi_proxy_upstream_keepalive_timeout": "two"}
    assert preflight(roles=["asgi_app", "asgi_server"], **changes) == {"changed": False}
    assert "asgi_proxy_upstream_keepalive_timeout is the text 'two'" in told(preflight, **changes)


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


def test_the_variables_of_a_playbook_are_templated(preflight):
    message = told(preflight, playbook="reload", roles=[], asgi_deploy_batches=trust_as_template("{{ 0 * 2 }}"))
    assert "asgi_deploy_batches is 0" in message
