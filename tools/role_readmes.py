#!/usr/bin/env python
"""Write each role's README.md from its meta/argument_specs.yml; with --check, only say whether they are up to date."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import yaml

ROLES = Path(__file__).parents[1] / "roles"


def plain(markup: str) -> str:
    """Return Ansible's semantic markup as Markdown."""
    text = re.sub(r"P\(asgi\.deploy\.(\w+)#(\w+)\)", r"`asgi.deploy.\1`", markup)
    return re.sub(r"\b[OVCMI]\(((?:[^()\\]|\\.|\([^()]*\))*)\)", lambda found: f"`{found[1]}`", text)


def paragraphs(description: str | list[str]) -> list[str]:
    return [plain(" ".join(text.split())) for text in ([description] if isinstance(description, str) else description)]


def kind(option: dict) -> str:
    if option.get("type") == "list":
        return f"list of {option.get('elements', 'anything')}"
    return {"raw": "any", "path": "path"}.get(option.get("type", "str"), option.get("type", "str"))


def facts(option: dict) -> str:
    """Return the type, the choices and the default of an option, or that it is required."""
    words = [kind(option)]
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
        lines.append(f"{indent}- `{name}` ({facts(option)})  ")
        lines.append(f"{indent}  {' '.join(paragraphs(option['description']))}")
        lines += entries(option.get("options", {}), depth + 1)
    return lines


def readme(role: Path) -> str:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    lines = [
        f"<!-- Made from meta/argument_specs.yml by tools/{Path(__file__).name}; change that instead. -->",
        f"# {role.name}",
        "",
        *described(specs.pop("main")),
    ]
    for name, spec in specs.items():
        lines += ["", f"# {role.name}, `tasks_from: {name}`", "", *described(spec)]
    return "\n".join(lines) + "\n"


def described(spec: dict) -> list[str]:
    """Return what an entry point does and takes."""
    lines = [f"{spec['short_description']}.", ""]
    for paragraph in paragraphs(spec["description"]):
        lines += [paragraph, ""]
    return [*lines, "## Variables", "", *entries(spec["options"])]


def main() -> int:
    stale = []
    for role in sorted(path for path in ROLES.iterdir() if path.is_dir()):
        path, text = role / "README.md", readme(role)
        if not path.exists() or path.read_text() != text:
            stale.append(str(path.relative_to(ROLES.parent)))
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale and "--check" in sys.argv:
        print(f"not up to date: {', '.join(stale)}; run tools/{Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
