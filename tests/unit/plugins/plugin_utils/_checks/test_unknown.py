"""Unknown variables in the namespace of the collection."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.action.preflight import KNOWN
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.unknown import nearest, problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Doubt

ROOT = Path(__file__).parents[5]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("asgi_server_wokers", "asgi_server_workers"),
        ("asgi_server_worker", "asgi_server_workers"),
        ("asgi_workers", "asgi_server_workers"),
        ("asgi_app_workers", "asgi_server_workers"),
        ("asgi_tls_provider", "asgi_proxy_tls_provider"),
        ("asgi_proxy_server_name", "asgi_proxy_server_names"),
        ("asgi_server_names", "asgi_proxy_server_names"),
        ("asgi_Server_Workers", "asgi_server_workers"),
        ("ASGI_NAME", "asgi_name"),
        ("asgi_environment", None),
        ("asgi_enc", "asgi_env"),
        ("asgi_maintenence", "asgi_maintenance"),
        ("asgi_maintain_reboots", "asgi_maintain_reboot"),
        ("asgi_deploy_batch", "asgi_deploy_batches"),
        ("asgi_rollback_relase", "asgi_rollback_release"),
        ("asgi_balancer_virtual_ipv4", "asgi_balancer_virtual_ip"),
        ("asgi_unknown_variable", "asgi_unknown_variables"),
        ("asgi_uninstal", "asgi_uninstall"),
        ("asgi_host", "asgi_hosts"),
        ("asgi_shop_db", None),
        ("asgi_machine", None),
    ],
)
def test_nearest_known_name(name, meant):
    assert nearest(name, KNOWN) == meant


def found(*names, **options):
    return list(problems(names, KNOWN, **options))


def test_other_namespaces_are_ignored():
    assert (
        found("asgi_name", "asgi_app_release", "asgi_release", "asgi_hosts", "shop_asgi_db", "__asgi_x", "asgi") == []
    )


def test_remedy_is_the_nearest_name_or_another_prefix():
    misspelled, own = found("asgi_shop_db", "asgi_server_wokers")
    assert (misspelled.variable, misspelled.code) == ("asgi_server_wokers", "variable-unknown")
    assert misspelled.remedy.startswith("did you mean asgi_server_workers? (asgi_unknown_variables=warn ")
    assert own.remedy.startswith("use a prefix other than asgi_ ")


def test_unknown_variables_can_be_warnings():
    [doubt] = found("asgi_server_wokers", reaction="warn")
    assert (type(doubt), doubt.remedy) == (Doubt, "did you mean asgi_server_workers?")


def test_reaction_is_error_or_warn():
    assert [(each.variable, each.code) for each in found(reaction="x")] == [
        ("asgi_unknown_variables", "choice-invalid")
    ]


def variables(value):
    """Yield the names of host and group variables in an inventory."""
    for key, below in value.items() if isinstance(value, dict) else ():
        yield from below if key == "vars" else variables(below)
        if key == "hosts":
            yield from (name for host in (below or {}).values() for name in host or {})


def test_inventories_of_this_repository_have_no_unknown_variables():
    names = set()
    for path in ROOT.glob("*/**/hosts.yml"):
        if ".c" not in str(path.relative_to(ROOT)):
            names |= set(variables(yaml.safe_load(path.read_text())))
    for path in [*ROOT.glob("*/**/group_vars/*.yml"), *ROOT.glob("*/**/host_vars/*.yml")]:
        if ".c" not in str(path.relative_to(ROOT)):
            names |= set(yaml.safe_load(path.read_text()))
    assert {"asgi_name", "asgi_module"} < names
    assert found(*names) == []
