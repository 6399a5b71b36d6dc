"""tests/rendering.py renders the same files as Ansible."""

from __future__ import annotations

import json
import shutil

import hostile
import pytest
import yaml
from rendering import FACTS, ROLES, rendered

WHAT = {
    "asgi_proxy": "{{ __asgi_proxy_files | combine({'htpasswd': asgi_proxy_users | asgi.deploy.htpasswd}) }}",
    "asgi_server": "{{ __asgi_server_texts | combine(__asgi_server_program, {'slot.socket': __asgi_server_activation.socket}) }}",
    "asgi_balancer": (
        "{{ __asgi_balancer_files | combine({'haproxy.service.d/asgi.conf': __asgi_balancer_drop_in,"
        " 'keepalived.conf': __asgi_balancer_keepalived_conf}) }}"
    ),
}
CASES = {"asgi_proxy": "site", "asgi_server": "slot", "asgi_balancer": "balancer"}


# The test is slow, and few changes of the templates can make it fail.
@pytest.mark.long
def test_the_files_are_those_of_ansible(ansible_playbook, tmp_path):
    for role in CASES:
        for kind in ("templates", "files"):
            if (ROLES / role / kind).is_dir():
                shutil.copytree(ROLES / role / kind, tmp_path / kind, dirs_exist_ok=True)
    plays = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars_files": [str(ROLES / role / "defaults/main.yml"), str(ROLES / role / "vars/main.yml")],
            "tasks": [
                {
                    "ansible.builtin.copy": {
                        "content": f"{WHAT[role].removesuffix(' }}')} | to_json }}}}",
                        "dest": f"{tmp_path}/{role}",
                    },
                    "vars": {**hostile.CASES[case].variables, **FACTS[role]},
                }
            ],
        }
        for role, case in CASES.items()
    ]
    status, output = ansible_playbook(yaml.safe_dump(plays))
    assert status == 0, output
    for role, case in CASES.items():
        files = rendered(role, hostile.CASES[case].variables)
        theirs = json.loads((tmp_path / role).read_text())
        assert {name: files[name] for name in theirs} == theirs
