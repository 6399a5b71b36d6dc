"""Functions of ansible-core that tests use, and stand-ins for versions without them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils import basic
from ansible.module_utils.ansible_release import __version__
from ansible.parsing.dataloader import DataLoader
from ansible_collections.asgi.deploy.plugins.module_utils._host.ansible_core import MARKS_TEMPLATES

VERSION = tuple(map(int, __version__.split(".")[:2]))

if MARKS_TEMPLATES:
    from ansible.module_utils.testing import patch_module_args
    from ansible.template import trust_as_template
else:

    @contextlib.contextmanager
    def patch_module_args(arguments: dict[str, Any]) -> Iterator[None]:
        """Pass *arguments* to the modules that the context creates."""
        before = basic._ANSIBLE_ARGS
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before

    def trust_as_template(text: str) -> str:
        """Return *text*: every string is a template."""
        return text


def load_templates(path: Path) -> Any:
    """Return the content of the YAML file *path*, whose strings are templates."""
    return DataLoader().load_from_file(str(path), **({"trusted_as_template": True} if MARKS_TEMPLATES else {}))


__all__ = ["VERSION", "load_templates", "patch_module_args", "trust_as_template"]
