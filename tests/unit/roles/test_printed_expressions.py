"""Every expression that a template prints is rendered by the filter of its format, or its values are known to be safe.

A new expression fails this test until it ends in a filter for its format, or until a review adds it to the table with the reason why
its values cannot inject configuration.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.action.preflight import SPECIFICATIONS
from jinja2 import nodes

ROLES = Path(__file__).parents[3] / "roles"
TEMPLATES = sorted(ROLES.glob("*/templates/**/*.j2"))

# Filters that render a value for a format, or fail.
FILTERS = {
    "asgi.deploy.haproxy_quote",
    "asgi.deploy.htpasswd",
    "asgi.deploy.keepalived_word",
    "asgi.deploy.nginx_quote",
    "asgi.deploy.nginx_word",
    "asgi.deploy.one_line",
    "asgi.deploy.python_literal",
    "asgi.deploy.systemd_value",
    "ansible.builtin.to_json",
    "to_json",
    # Filters that return numbers or digests.
    "length",
    "int",
    "hash",
}

NAME = "the name rule: lower-case letters, digits, '-' and '_'"
LAYOUT = "made from the name alone, see module_utils/_host/layout.py"
OURS = "a constant of the collection"
NUMBERS = "numbers, whose type preflight checks"
COMPOSED = "constants and numbers, see vars/main.yml"
SNIPPET = "configuration by intent; plugin_utils/_render/snippets.py checks its structure"
PLANNED = (
    "a name or expression that plugin_utils/_render/site_plan.py makes; a URL in it consists of plain, escaped segments"
)

# The reason for each reviewed variable, or variable with attributes, at the start of an expression.
REVIEWED = {
    "asgi_name": NAME,
    "__asgi_proxy_variable": NAME,
    "__asgi_proxy_layout": LAYOUT,
    "__asgi_balancer_layout": LAYOUT,
    "__asgi_balancer_directory": LAYOUT,
    "paths": LAYOUT,
    "slot.name": LAYOUT,
    "slots": LAYOUT,
    "__asgi_proxy_no_sni_pem": OURS,
    "__asgi_server_profile": OURS,
    "__asgi_server_closing_seconds": NUMBERS,
    "__asgi_server_hang_margin": NUMBERS,
    "__asgi_balancer_clients": NUMBERS,
    "__asgi_proxy_clients": NUMBERS,
    "__asgi_balancer_server_timeout": NUMBERS,
    "__asgi_balancer_websocket_timeout": NUMBERS,
    "__asgi_balancer_health_statuses": NUMBERS,
    "__asgi_server_host": NUMBERS,
    "plan.workers": NUMBERS,
    "port": NUMBERS,
    "server.port": NUMBERS,
    "server.weight": NUMBERS,
    "entry.max_age": NUMBERS,
    "entry.number": NUMBERS,
    "loop": OURS,
    "location.burst": NUMBERS,
    "location.connections": NUMBERS,
    "location.read_timeout": NUMBERS,
    "location.send_timeout": NUMBERS,
    "location.rate_zone": PLANNED,
    "location.connections_zone": PLANNED,
    "zone.name": PLANNED,
    "location.match": PLANNED,
    "location.doubled": PLANNED,
    "location.websocket": PLANNED,
    "location.realm": PLANNED,
    "entry.variable": PLANNED,
    "__asgi_balancer_log_format": OURS,
    "__asgi_proxy_log_format": NAME,
    "__asgi_balancer_https": COMPOSED,
    "__asgi_proxy_https": COMPOSED,
    "__asgi_proxy_https_suffix": COMPOSED,
    "asgi_balancer_peers": "its position in a list",
    "asgi_proxy_snippet_http": SNIPPET,
    "asgi_proxy_snippet_server": SNIPPET,
    "location.snippet": SNIPPET,
    "line": SNIPPET,
    # Parameters and results of macros.
    "indent": OURS,
    "includes": OURS,
    "flags": COMPOSED,
    "variable": OURS,
    "separator": OURS,
    "dot": OURS,
    "types": OURS,
    "uri": OURS,
    "name": "the name of a log format, which its callers give, or of a header in plugin_utils/_render/request_headers.py",
    "value": "nginx's own variables, see plugin_utils/_render/request_headers.py",
    "parameters": "names of lower-case letters, digits and '_', see checks/asgi_proxy.py",
    "tracked": LAYOUT,
    "fallback": NAME,
    "asgi_proxy_path": "plain segments, and escaped for the expression; see _checks/proxy_path.py",
    "path": "a plain path of asgi_proxy_reserved_paths, escaped for the expression; see _checks/proxy_path.py",
    "__asgi_proxy_plan.root.websocket": PLANNED,
    "entry.url": "plain segments, and escaped for the expression",
    "lookup": "the user's own page",
    "setting": "name and value, which the filter sandbox_settings renders",
    "server_setting": "a name in plugin_utils/_server/settings.py",
    "header.source": PLANNED,
    "pattern": "names of headers, see trusted_faults() and header_patterns() in plugin_utils/_render/request_headers.py",
    "header.variable": PLANNED,
}

# Reviewed names that only these files may print.
ONLY_IN = {
    # in asgi-00-headers.inc.j2, the name is a constant
    "name": {"macros.j2", "host.conf.j2", "asgi-00-headers.inc.j2"},
    "value": {"macros.j2"},
    "entry.url": {"static.conf.j2", "location_macros.j2"},
    "lookup": {"maintenance.html.j2"},
}

SPECIFIED = {
    name: option
    for role in SPECIFICATIONS.values()
    for entry_point in role["argument_specs"].values()
    for name, option in entry_point["options"].items()
}


def unchecked(node):
    """Yield the unreviewed parts of the printed expression *node*, as text."""
    if isinstance(node, (nodes.Const, nodes.TemplateData)):
        return
    if isinstance(node, nodes.Concat):
        parts = node.nodes
    elif isinstance(node, nodes.CondExpr):
        parts = [node.expr1, *([node.expr2] if node.expr2 else [])]
    elif isinstance(node, nodes.BinExpr):
        parts = [node.left, node.right]
    elif isinstance(node, nodes.Filter) and node.name in FILTERS:
        return
    elif isinstance(node, nodes.Filter) and node.name == "map":
        if isinstance(node.args[0], nodes.Const) and node.args[0].value in FILTERS:
            return
        parts = [node.node]
    elif isinstance(node, nodes.Filter):
        parts = [node.node, *(node.args if node.name == "default" else [])]
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in MACROS:
        # The definition of the macro is checked separately.
        return
    elif isinstance(node, (nodes.Call, nodes.Getitem)):
        parts = [node.node]
    else:
        name = dotted(node)
        if not bounded(name):
            yield name
        return
    for part in parts:
        yield from unchecked(part)


def bounded(name):
    option = SPECIFIED.get(name, {})
    if option.get("elements", option.get("type")) in ("int", "float", "bool") or "choices" in option:
        return True
    steps = name.split(".")
    return any(".".join(steps[:count]) in REVIEWED for count in range(1, len(steps) + 1))


def dotted(node):
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{dotted(node.node)}.{node.attr}"
    if isinstance(node, (nodes.Call, nodes.Getitem, nodes.Filter)):
        return dotted(node.node)
    return type(node).__name__


def printed(template):
    """Yield the expressions that *template* prints, including those in macros and blocks."""
    for output in template.find_all(nodes.Output):
        yield from (node for node in output.nodes if not isinstance(node, nodes.TemplateData))


# The macros of all templates, because an included template can use those of the including one.
MACROS = {
    macro.name for path in TEMPLATES for macro in jinja2.Environment().parse(path.read_text()).find_all(nodes.Macro)
}


@pytest.mark.parametrize("path", TEMPLATES, ids=[str(path.relative_to(ROLES)) for path in TEMPLATES])
def test_templates_print_checked_values(path):
    template = jinja2.Environment().parse(path.read_text())
    found = [name for node in printed(template) for name in unchecked(node)]
    assert found == [], "render it with a filter for its format, or review it"


@pytest.mark.parametrize("path", TEMPLATES, ids=[str(path.relative_to(ROLES)) for path in TEMPLATES])
def test_reviewed_expressions_apply_to_one_file(path):
    template = jinja2.Environment().parse(path.read_text())
    names = {name for node in printed(template) for name in names_in(node)}
    assert {name for name in names & set(ONLY_IN) if path.name not in ONLY_IN[name]} == set()


def names_in(node):
    if isinstance(node, nodes.Filter) and node.name in FILTERS:
        return
    if isinstance(node, (nodes.Name, nodes.Getattr)):
        yield dotted(node)
        return
    for child in node.iter_child_nodes():
        yield from names_in(child)


def test_every_reviewed_name_is_printed():
    used = set()
    for path in TEMPLATES:
        template = jinja2.Environment().parse(path.read_text())
        for node in template.find_all((nodes.Name, nodes.Getattr)):
            steps = dotted(node).split(".")
            used |= {".".join(steps[:count]) for count in range(1, len(steps) + 1)}
    assert set(REVIEWED) - used == set()


def contents(tasks):
    """Yield the content that *tasks* write to files."""
    for task in tasks:
        yield from contents(task.get("block", []))
        for arguments in task.values():
            if isinstance(arguments, dict) and "content" in arguments:
                yield arguments["content"]


# Reviewed content that tasks write without a template, with the reason.
CONTENTS = {
    "{{ __asgi_balancer_keepalived_conf ~ __asgi_balancer_not_loaded }}": "a template and a constant",
    "{{ __asgi_balancer_keepalived_conf }}": "a template",
    "{{ lookup('ansible.builtin.template', 'etc/asgi/app/maintenance.html.j2') if asgi_maintenance | bool else omit }}": "a template",
    "{{ __asgi_common_chain | trim }}\n{{ __asgi_common_key | trim }}\n": "parsed as PEM on the controller",
}


def test_tasks_write_checked_values():
    found = [
        text
        for path in sorted(ROLES.glob("*/tasks/*.yml"))
        for text in contents(yaml.safe_load(path.read_text()) or [])
        if text not in CONTENTS
        for node in printed(jinja2.Environment().parse(text))
        if list(unchecked(node))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ asgi_proxy_body_size }}",
        "{{ 'x' ~ server.address }}",
        "{{ address if address else '' }}",
        "{{ asgi_proxy_server_names | join(' ') }}",
        "{{ asgi_server_metrics_listen | default('x') }}",
        "{% for a in b %}{{ a }}{% endfor %}",
    ],
)
def test_an_unchecked_expression_is_detected(text):
    (node,) = printed(jinja2.Environment().parse(text))
    assert list(unchecked(node)) != []
