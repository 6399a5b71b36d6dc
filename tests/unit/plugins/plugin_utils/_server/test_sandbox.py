"""The sandbox of an app from its variables: for a unit file, and for the modules that run programs in it."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import (
    VARIABLES,
    from_drop_in,
    properties,
    transient,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.sandbox import sandbox_of, sandbox_settings
from rendering import defaults, environment


def test_a_unit_file_and_a_transient_unit_have_the_same_settings():
    settings = {
        "write_paths": ["/srv/data"],
        "memory_max": "1G",
        "cpu_quota": "150%",
        "tasks_max": 100,
        "unit_settings": {"ReadOnlyPaths": "/opt/50%", "RestartSec": 3, "SystemCallFilter": ["mbind", "move_pages"]},
    }
    text = "".join(f"{line}\n" for line in ["[Service]", *sandbox_settings("shop", settings)])

    assert "ReadOnlyPaths=/opt/50%%\n" in text
    assert "TemporaryFileSystem=/dev/shm:rw,nosuid,nodev,mode=1777,size=50%\n" in text
    assert transient(from_drop_in(text, "blue")) == transient(properties("shop", settings))


def test_the_variables_have_the_defaults_of_the_role():
    place = environment("asgi_server")
    place.use({})
    passed = place.templated("{{ __asgi_server_sandbox }}")

    assert {name: defaults("asgi_server").get(f"asgi_server_{name}") for name in VARIABLES} == VARIABLES
    assert passed == VARIABLES


def test_modules_get_the_variables_that_are_set():
    given = {"asgi_server_memory_max": "1G", "asgi_server_write_paths": ["/srv/data"], "asgi_server_workers": 3}

    assert sandbox_of(Templar(DataLoader()), given) == {"memory_max": "1G", "write_paths": ["/srv/data"]}
