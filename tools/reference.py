#!/usr/bin/env python
"""Write each role's README.md and docs/reference/plugins.md from the specs of roles and the documentation of plugins.

With --check, fail if a page is out of date.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
GROUPS = yaml.safe_load((ROOT / "tools/variable_groups.yml").read_text())

# Plugins for the playbooks and hooks of users. The other plugins are internal to the collection.
PUBLIC_MODULES = [
    "activate",
    "app_info",
    "balancer_info",
    "balancer_server",
    "doctor",
    "host_info",
    "release",
    "release_command",
    "reload",
    "rollback",
    "secret_file",
    "site_check",
    "tune",
    "wait_for_app",
]
PUBLIC_FILTERS = [
    "batches",
    "haproxy_quote",
    "htpasswd",
    "keepalived_word",
    "layout",
    "nginx_quote",
    "nginx_word",
    "one_line",
    "printable",
    "python_literal",
    "systemd_value",
    "worker_count",
    "worker_plan",
]


def generated(source: str) -> str:
    return f"<!-- Generated from {source} by tools/{Path(__file__).name}: edit that instead. -->"


def plain(markup: str) -> str:
    """Return Ansible's semantic markup as Markdown."""
    text = re.sub(r"P\(asgi\.deploy\.(\w+)#(\w+)\)", r"`asgi.deploy.\1`", markup)
    return re.sub(r"\b[OVCMI]\(((?:[^()\\]|\\.|\([^()]*\))*)\)", lambda found: f"`{found[1]}`", text)


def paragraphs(description: str | list[str]) -> list[str]:
    return [plain(" ".join(text.split())) for text in ([description] if isinstance(description, str) else description)]


def type_name(option: dict) -> str:
    if option.get("type") == "list":
        return f"list of {option.get('elements', 'anything')}"
    return {"raw": "any"}.get(option.get("type", "str"), option.get("type", "str"))


def summary(option: dict) -> str:
    """Return the type, the choices and the default of an option, or that it is required."""
    words = [type_name(option)]
    if "choices" in option:
        words.append("one of " + ", ".join(f"`{choice}`" for choice in option["choices"]))
    if option.get("required"):
        words.append("**required**")
    elif "default" in option:
        default = option["default"] if isinstance(option["default"], str) else json.dumps(option["default"])
        words.append(f"default `{default or '(empty)'}`")
    if option.get("no_log"):
        words.append("secret")
    return ", ".join(words)


def entries(options: dict, depth: int = 0) -> list[str]:
    lines = []
    for name, option in options.items():
        indent = "  " * depth
        lines.append(f"{indent}- `{name}` ({summary(option)})  ")
        lines.append(f"{indent}  {' '.join(paragraphs(option['description']))}")
        lines += entries(option.get("options", {}), depth + 1)
    return lines


def grouped(role: str, options: dict) -> list[tuple[dict, dict]]:
    """Return the groups of *role*, each with its options."""
    members: list[dict[str, Any]] = [{} for _group in GROUPS[role]]
    for name, option in options.items():
        matching = [
            place
            for place, group in enumerate(GROUPS[role])
            if any(fnmatchcase(name, pattern) for pattern in group["patterns"])
        ]
        if not matching:
            raise SystemExit(f"{name} belongs to no group of {role} in tools/variable_groups.yml: add it")
        members[matching[0]][name] = option
    return list(zip(GROUPS[role], members, strict=True))


def specs(role: Path) -> dict:
    return yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]


def role_page(role: Path) -> str:
    entry_points = specs(role)
    main = entry_points.pop("main")
    lines = [
        generated("meta/argument_specs.yml and tools/variable_groups.yml"),
        f"# {role.name}",
        "",
        *introduction(main),
    ]
    for group, options in grouped(role.name, main["options"]):
        lines += [f"## {group['title']}", "", "```yaml", group["example"].rstrip(), "```", "", *entries(options), ""]
    for name, spec in entry_points.items():
        lines += [
            f"# {role.name}, `tasks_from: {name}`",
            "",
            *introduction(spec),
            "## Variables",
            "",
            *entries(spec["options"]),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def introduction(spec: dict) -> list[str]:
    return [
        f"{spec['short_description']}.",
        "",
        *(line for text in paragraphs(spec["description"]) for line in (text, "")),
    ]


def documentation(path: Path) -> dict:
    """Return the documentation of a plugin."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            return yaml.safe_load(ast.literal_eval(node.value))
    raise SystemExit(f"{path} has no DOCUMENTATION")


def plugin_table(kind: str, names: list[str]) -> list[str]:
    lines = ["| name | purpose |", "|---|---|"]
    for name in names:
        path = ROOT / "plugins" / kind / f"{name}.py"
        lines.append(
            f"| [`asgi.deploy.{name}`](../../{path.relative_to(ROOT)}) | {plain(documentation(path)['short_description'])} |"
        )
    return [*lines, ""]


def plugins_page() -> str:
    lines = [
        generated("the documentation of the plugins"),
        "# Modules, filters and other plugins",
        "",
        "`ansible-doc asgi.deploy.<module>` and `ansible-doc -t filter asgi.deploy.<filter>` print options, return values and examples.",
        "",
        "Modules with the option `name`, the app, are in the action group `asgi.deploy.app`:",
        "",
        "```yaml",
        "module_defaults:",
        "  group/asgi.deploy.app: {name: shop}",
        "```",
        "",
    ]
    for kind, title, public in (("modules", "Modules", PUBLIC_MODULES), ("filter", "Filters", PUBLIC_FILTERS)):
        names = sorted({path.stem for path in (ROOT / "plugins" / kind).glob("[!_]*.py")} - {"internal"})
        internal = [name for name in names if name not in public]
        lines += [f"## {title}", "", *plugin_table(kind, [name for name in names if name in public])]
        if internal:
            lines += [
                f"### Internal {title.lower()}",
                "",
                "The roles and playbooks of this collection use these. They may change in any release.",
                "",
            ]
            lines += plugin_table(kind, internal)
    callbacks = sorted(path.stem for path in (ROOT / "plugins/callback").glob("[!_]*.py"))
    return "\n".join([*lines, "## Callbacks", "", *plugin_table("callback", callbacks)]).rstrip() + "\n"


def pages() -> dict[Path, str]:
    roles = sorted(path for path in (ROOT / "roles").iterdir() if (path / "meta/argument_specs.yml").exists())
    return {
        **{role / "README.md": role_page(role) for role in roles},
        ROOT / "docs/reference/plugins.md": plugins_page(),
    }


def main() -> int:
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text() != text}
    if "--check" not in sys.argv:
        for path, text in stale.items():
            path.write_text(text)
    elif stale:
        print(
            f"out of date: {', '.join(str(path.relative_to(ROOT)) for path in stale)}; run tools/{Path(__file__).name}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
