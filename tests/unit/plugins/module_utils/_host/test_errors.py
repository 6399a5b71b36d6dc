# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of errors that modules report."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError, Unsolvable
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported, failure
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import Locked
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("it failed", "it failed [a-code]"),
        ("it failed -> fix it", "it failed -> fix it [a-code]"),
        ("it failed:\noutput:\nmore", "it failed [a-code]:\noutput:\nmore"),
        ("it failed\noutput", "it failed [a-code]\noutput"),
        ("it failed:", "it failed: [a-code]"),
    ],
)
def test_the_code_ends_the_first_line(message, expected):
    assert failure(message, "a-code") == {"msg": expected, "code": "a-code"}
    assert failure(message, "") == {"msg": message}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BuildError("no", "import-failed"), {"msg": "prefix: no [import-failed]", "code": "import-failed"}),
        (BuildError("no"), {"msg": "prefix: no [build-failed]", "code": "build-failed"}),
        (Unsolvable("no"), {"msg": "prefix: no [requirements-conflict]", "code": "requirements-conflict"}),
        (Locked("no"), {"msg": "prefix: no [app-locked]", "code": "app-locked"}),
        (Reported("no"), {"msg": "prefix: no"}),
        (ValueError("no"), {"msg": "prefix: no"}),
    ],
)
def test_a_module_reports_the_code_of_an_error(error, expected):
    found = []
    module = SimpleNamespace(fail_json=lambda **result: found.append(result))
    with HostModule.reporting(module, "prefix: ", release="r1"):
        raise error
    assert found == [{**expected, "release": "r1"}]
