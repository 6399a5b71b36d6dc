# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an error of the file system."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of


def gathered(*files):
    return shutil.Error([(f"/a/{name}", f"/b/{name}", why) for name, why in files])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied"),
        # of a descriptor, as fsync has one
        (OSError(28, "No space left on device"), "No space left on device"),
        (TimeoutError("timed out"), "timed out"),
        (OSError(), "OSError"),
        (gathered(("x", "[Errno 13] Permission denied: '/a/x'")), "[Errno 13] Permission denied: '/a/x'"),
        (gathered(("x", "it is a socket")), "/a/x: it is a socket"),
        (gathered(*(("x", f"no {number}") for number in range(5))), "/a/x: no 0; /a/x: no 1; /a/x: no 2; and 2 more"),
        (shutil.SameFileError("'/a' and '/b' are the same file"), "'/a' and '/b' are the same file"),
    ],
)
def test_reason(error, told):
    assert reason_of(error) == told
