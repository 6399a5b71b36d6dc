#!/usr/bin/env python
"""Write docs/reference/errors.md from the tables of codes; with --check, fail if the page is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor import codes as doctor
from ansible_collections.asgi.deploy.plugins.plugin_utils._values import codes as values
from ansible_collections.asgi.deploy.plugins.plugin_utils._values import host_codes as hosts

PAGE = ROOT / "docs/reference/errors.md"
INTRODUCTION = """\
<!-- Generated from plugin_utils/_values/codes.py, host_codes.py there, and plugin_utils/_doctor/codes.py by tools/error_codes.py: edit
those instead. -->
# Error codes

Each message of a problem ends with its code in brackets. A code keeps its meaning; the words of the message may change. The remedy of
a message is often more specific than the one below, because it contains your values.

```
1 problem in the variables of web1; nothing has been changed:
  asgi_proxy_http_port is 443, like asgi_proxy_https_port -> use a different port for each [port-duplicate]
```

All playbooks check the variables on the controller before they change a host. The last sections list the codes of errors on hosts, which
a failed task also returns as `code`, and those of doctor.yml.
"""


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("<", "&lt;")


def cells(code: str, entry: values.Code) -> tuple[str, str, str]:
    return f"`{code}`", entry.meaning, f"{entry.remedy[0].upper()}{entry.remedy[1:]}."


def page() -> str:
    """Return the content of the page."""
    lines = [INTRODUCTION.rstrip()]
    on_hosts = {f"On a host: {title[0].lower()}{title[1:]}": codes for title, codes in hosts.SECTIONS.items()}
    for title, codes in {**values.SECTIONS, **on_hosts}.items():
        lines += ["", f"## {title}", "", row("Code", "Meaning", "Remedy"), "|---|---|---|"]
        lines += [row(*cells(code, entry)) for code, entry in codes.items()]
    lines += ["", "## doctor.yml", "", row("Check", "Code", "Meaning", "Remedy"), "|---|---|---|---|"]
    lines += [
        row(check, *cells(code, entry)) for check, codes in doctor.SECTIONS.items() for code, entry in codes.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    if "--check" in sys.argv:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run tools/error_codes.py", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
