"""The rows of `make matrix` cover the versions that the collection supports."""

from __future__ import annotations

import matrix
from ansible_collections.asgi.deploy.plugins.action.preflight import OLDEST_CORE, OLDEST_PYTHON
from ansible_collections.asgi.deploy.plugins.module_utils._host import host_module

CONTROLLERS = [row for row in matrix.ROWS if row.debian]
HOSTS = [row for row in matrix.ROWS if not row.debian]


def numbers(version):
    return tuple(map(int, version.split(".")))


def test_every_version_from_the_oldest_to_the_newest_has_a_row():
    cores = [numbers(row.core) for row in CONTROLLERS]
    assert cores == [(2, minor) for minor in range(OLDEST_CORE[1], cores[-1][1] + 1)]
    assert min(numbers(row.python) for row in CONTROLLERS) == OLDEST_PYTHON
    assert min(numbers(row.python) for row in HOSTS) == host_module.OLDEST_PYTHON


def test_the_support_matrix_names_the_rows():
    text = (matrix.ROOT / "README.md").read_text()
    assert f"ansible-core {CONTROLLERS[0].core} to {CONTROLLERS[-1].core}" in text


def test_names_are_unique():
    names = [row.name for row in matrix.ROWS]
    assert len(set(names)) == len(names)


def test_tests_of_a_row():
    core, host = (
        {str(path.relative_to(matrix.PLUGIN_TESTS.parent)) for path in found()}
        for found in (matrix.core_tests, matrix.host_tests)
    )
    assert core >= {
        "plugins/action/test_preflight.py",
        "plugins/modules/test_release.py",
        "roles/test_rendering.py",
        "playbooks/test_recap.py",
    }
    assert host >= {"plugins/module_utils/_app/test_slots.py", "plugins/modules/test_nginx_site.py"}
    # needs the controller's Python
    assert "plugins/module_utils/_proxy/test_joined.py" not in host
