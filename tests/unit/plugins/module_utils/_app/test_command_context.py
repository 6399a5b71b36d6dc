"""The context of a command: from the inventory, and from the configuration on the host."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import command_context
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import InstalledApp
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout, release_paths

PATHS, RELEASE = layout("shop"), release_paths("shop", "src-0123456789")
GUNICORN = """
bind = []
asgi_deploy_app.configure(
    'main:app',
    working_directory={directory},
)
"""


@pytest.fixture
def configured(tmp_path):
    """Return a function that returns the context of a configuration with these files."""

    def context(**files):
        (tmp_path / "c1").mkdir()
        for name, text in files.items():
            (tmp_path / "c1" / name.replace("_conf", ".conf")).write_text(text)
        app = InstalledApp({**PATHS, "configs": str(tmp_path)}, systemd=None)
        return command_context.from_configuration(app, Pair(RELEASE["id"], "c1"), RELEASE)

    return context


def test_the_sandbox_of_the_configuration_is_that_of_the_slot(configured):
    found = configured(service_conf="[Service]\nTimeoutStopSec=70\nMemoryMax=1G\nReadWritePaths=/srv/%%x\nExecStart=\n")
    assert found.sandbox == [("MemoryMax", "1G"), ("ReadWritePaths", "/srv/%x")]
    assert found.directory == RELEASE["code"]
    assert found.modules == ""


@pytest.mark.parametrize("name", ["gunicorn.conf.py", "uvicorn.conf.py"])
def test_the_working_directory_of_the_configuration(configured, name):
    found = configured(**{name: GUNICORN.format(directory="'/srv/shop/shared/data'"), "service_conf": ""})
    assert found.directory == found.shared == "/srv/shop/shared/data"
    assert found.modules == RELEASE["code"]
    assert found.environment(PATHS, {"PYTHONPATH": "/lib"})["PYTHONPATH"] == f"{RELEASE['code']}:/lib"


@pytest.mark.parametrize("text", ["working_directory = 1", "configure(working_directory=undefined)", "not python", ""])
def test_other_configurations_use_the_code_of_the_release(configured, text):
    assert configured(**{"gunicorn.conf.py": text}).directory == RELEASE["code"]


def test_the_context_of_the_inventory():
    found = command_context.from_variables(PATHS, RELEASE, {"memory_max": "1G", "working_directory": "shared/data"})
    assert ("MemoryMax", "1G") in found.sandbox
    assert found.directory == "/srv/shop/shared/data"
    environment = found.environment(PATHS, {"TOKEN": "x"})
    assert environment["PATH"].startswith(f"{RELEASE['venv']}/bin:")
    assert (environment["TOKEN"], environment["ASGI_APP"]) == ("x", "shop")
