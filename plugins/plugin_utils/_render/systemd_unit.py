# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of settings in systemd unit files."""

from __future__ import annotations

import math
import re
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.characters import one_line

_SHARE = re.compile(r"[0-9]+(?:\.[0-9]+)?%")


def value(given: Any) -> str:
    """Return *given*, a scalar or a list of scalars, as the right-hand side of a setting; raise ValueError if it is invalid.

    Booleans become ``yes`` and ``no``, lists are joined with spaces, and ``%`` is doubled so that it does not start a specifier,
    except in a percentage. A trailing backslash is invalid, because systemd would join the next line, or the next item of a list.
    """
    if isinstance(given, (list, tuple)):
        return " ".join(_scalar(item) for item in given)
    return _scalar(given)


def _scalar(given: Any) -> str:
    if isinstance(given, bool):
        return "yes" if given else "no"
    if not isinstance(given, (str, int, float)):
        raise ValueError(f"a {type(given).__name__} is not a valid value of a setting")
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"{given} is not a valid value of a setting")
    text = one_line(given)
    if text.rstrip().endswith("\\"):
        raise ValueError(f"{text!r} ends with a backslash, which would join the next line")
    return text if _SHARE.fullmatch(text) else text.replace("%", "%%")
