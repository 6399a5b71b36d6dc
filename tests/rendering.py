"""Render the files of the roles like Ansible, from the variables of an inventory and without a host.

Uses the roles' own templates, `vars/main.yml` and filters. `test_rendering.py` compares the result with Ansible's.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from ansible.plugins.filter.core import FilterModule as CoreFilters
from ansible.plugins.filter.mathstuff import FilterModule as MathFilters
from ansible.plugins.test.core import TestModule as CoreTests
from ansible_collections.asgi.deploy.plugins import filter as filters
from ansible_collections.asgi.deploy.plugins.action.preflight import CHECKS, HOST_ROLES, SPECIFICATIONS
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import shared
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.options import typed
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Doubt, Problem
from jinja2.runtime import Context as JinjaContext
from jinja2.runtime import missing

ROLES = Path(__file__).parents[1] / "roles"
OMIT = object()
# Host facts that modules return.
HOST = {
    "nginx": {"http2_directive": True, "keepalive_min_timeout": True, "http3": True},
    "capacity": {"processor_nproc": 2, "memtotal_mb": 3920, "apps": []},
    "present_paths": [],
}
FACTS = {
    "asgi_proxy": {"__asgi_proxy_host": HOST},
    "asgi_server": {"__asgi_server_staging_facts": HOST},
    "asgi_balancer": {"__asgi_balancer_host": HOST},
}


class _Context(JinjaContext):
    """Resolves a variable when a template uses it, like Ansible."""

    def resolve_or_missing(self, key: str) -> Any:
        found = super().resolve_or_missing(key)
        return self.environment.variables.get(key, missing) if found is missing else found


class _Variables:
    """The variables of a run; each is templated once."""

    def __init__(self, environment: Environment, given: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        self.environment, self.own = environment, own
        # Values of the inventory are data and are not templated again.
        self.known = dict(given)

    def get(self, name: str, default: Any) -> Any:
        if name not in self.known:
            if name not in self.own:
                return default
            self.known[name] = self.environment.templated(self.own[name])
        return self.known[name]


class Environment(jinja2.Environment):
    context_class = _Context

    def __init__(self, role: str) -> None:
        templates = ROLES / role / "templates"
        # Ansible searches for included templates in the directory of the including template.
        places = [templates, *(each for each in templates.rglob("*") if each.is_dir())]
        super().__init__(
            trim_blocks=True,
            undefined=jinja2.StrictUndefined,
            loader=jinja2.FileSystemLoader([str(place) for place in places]),
            extensions=["jinja2.ext.loopcontrols"],
        )
        self.filters.update(_filters())
        self.tests.update(CoreTests().tests())
        self.globals.update(lookup=self._lookup, query=self._query, omit=OMIT, hostvars={}, groups={})
        self.role = role
        self.own = {
            **_load(f"{role}/defaults/main.yml"),
            **_load(f"{role}/vars/main.yml"),
            "ansible_check_mode": False,
        }
        self.variables = _Variables(self, {}, self.own)
        self.expressions: dict[str, Callable] = {}

    def use(self, given: Mapping[str, Any]) -> None:
        self.variables = _Variables(self, given, self.own)

    def templated(self, value: Any) -> Any:
        """Return *value* with its strings templated; a string with a single expression may become any type."""
        if isinstance(value, dict):
            return {self.templated(key): self.templated(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.templated(item) for item in value]
        if not isinstance(value, str) or "{" not in value:
            return value
        if value not in self.expressions:
            self.expressions[value] = self._compiled(value)
        return self.expressions[value]()

    def _compiled(self, text: str) -> Callable[[], Any]:
        body = self.parse(text).body
        if len(body) == 1 and isinstance(body[0], jinja2.nodes.Output) and len(body[0].nodes) == 1:
            inner = text.strip().removeprefix("{{").removesuffix("}}")
            # compile_expression() would turn undefined values into None.
            template = self.from_string("{% set result = (" + inner + ") %}")
            return lambda: template.make_module().result
        template = self.from_string(text)
        return template.render

    def _lookup(self, plugin: str, *terms: str, **options: Any) -> Any:
        return ",".join(self._query(plugin, *terms, **options))

    def file(self, template: str) -> str:
        """Render *template*. Ansible keeps its trailing newline, but not those of included templates."""
        text = self.get_template(template).render()
        return text if text.endswith("\n") else f"{text}\n"

    def _query(self, plugin: str, *terms: str, rstrip: bool = True, **_options: Any) -> list[str]:
        kind = plugin.rpartition(".")[2]
        if kind == "template":
            return [self.file(term) for term in terms]
        if kind == "file":
            texts = [(ROLES / self.role / "files" / term).read_text() for term in terms]
            return [text.rstrip() if rstrip else text for text in texts]
        if kind == "env":
            return ["anna"]
        if kind == "inventory_hostnames":
            return []
        raise NotImplementedError(plugin)


@lru_cache
def _filters() -> dict[str, Callable]:
    found = {**MathFilters().filters(), **CoreFilters().filters(), **jinja2.filters.FILTERS}
    names = {f"ansible.builtin.{name}": function for name, function in found.items()}
    own = {}
    for module in pkgutil.iter_modules(filters.__path__):
        loaded = importlib.import_module(f"{filters.__name__}.{module.name}")
        own.update({f"asgi.deploy.{name}": function for name, function in loaded.FilterModule().filters().items()})
    return {**found, **names, **own}


@lru_cache
def _load(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROLES / path).read_text()) or {}


@lru_cache
def environment(role: str) -> Environment:
    return Environment(role)


@lru_cache
def defaults(role: str) -> dict[str, Any]:
    """Return the defaults of *role*, except those that need Ansible's lookups."""
    return {
        name: value
        for name, value in _load(f"{role}/defaults/main.yml").items()
        if not (isinstance(value, str) and "{{" in value)
    }


class Preflight:
    """Run preflight's checks on variables of *role* that differ from *base* in a few values.

    Checks the types of changed values only, because type checks take most of the time.
    """

    def __init__(self, role: str, base: Mapping[str, Any]) -> None:
        # Like preflight, check the options of all roles on an app host, but not the sources of asgi_app.
        self.role, self.roles = role, HOST_ROLES if role in HOST_ROLES else (role,)
        self.base: dict[str, Any] = {}
        self.options, objections = self._typed(
            base, {name: value for each in self.roles for name, value in defaults(each).items()}
        )
        assert objections == []
        self.base = dict(base)

    def objections(self, given: Mapping[str, Any]) -> list[Problem]:
        """Return the faults that preflight would report for *given*, without warnings."""
        options, found = self._typed({name: value for name, value in given.items() if value != self.base.get(name)}, {})
        if not found:
            context = Context(options={**self.options, **options}, find=Path)
            for checks in (shared, CHECKS[self.role]):
                found += checks.problems(context)
        return [each for each in found if not isinstance(each, Doubt)]

    def _typed(self, given: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        options, found = {}, []
        values = {**others, **given}
        for role in self.roles:
            spec = SPECIFICATIONS[role]["argument_specs"]["main"]["options"]
            good, mistyped = typed(spec, {name: value for name, value in values.items() if name in spec})
            options.update(good)
            found += mistyped
        return options, found


def rendered(role: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of *role*, by name, for the inventory variables *given*."""
    place = environment(role)
    place.use({**FACTS[role], **given})
    return dict(_files(role, place))


def with_includes(files: Mapping[str, str], name: str) -> str:
    """Return the nginx site *name* of *files* with each shared file in the place of its ``include``."""

    def included(match: re.Match) -> str:
        if "*" in match[2]:
            return match[0]
        lines = files[match[2]].splitlines()
        return "\n".join(re.sub("^    ", match[1], line) for line in lines)

    return re.sub(r"^( *)include conf\.d/(\S+);$", included, files[name], flags=re.MULTILINE)


def _files(role: str, place: Environment) -> Iterator[tuple[str, str]]:
    def variable(name: str) -> Any:
        return place.variables.get(name, None)

    if role == "asgi_proxy":
        yield from variable("__asgi_proxy_files").items()
        if variable("asgi_proxy_users"):
            yield "htpasswd", place.templated(_users_content())
    elif role == "asgi_balancer":
        yield from variable("__asgi_balancer_files").items()
        yield "haproxy.service.d/asgi.conf", variable("__asgi_balancer_drop_in")
        if variable("asgi_balancer_virtual_ip"):
            yield "keepalived.conf", variable("__asgi_balancer_keepalived_conf")
    else:
        yield from ((name, text) for name, text in variable("__asgi_server_files").items() if not _is_module(name))
        yield "slot.socket", variable("__asgi_server_activation")["socket"]
        for name in ("app-metrics.socket", "app-metrics.service", "run-app-counters.mount"):
            yield name, place.file(f"etc/systemd/system/{name}.j2")


def _is_module(name: str) -> bool:
    return name.startswith("asgi_deploy_")


@lru_cache
def _users_content() -> str:
    tasks = yaml.safe_load((ROLES / "asgi_proxy/tasks/users.yml").read_text())
    return next(text for text in _strings(tasks) if "asgi_proxy_users" in text and "{{" in text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
