# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words in HAProxy's configuration."""

from __future__ import annotations

import re

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.characters import one_line

_PLAIN = re.compile(r"[!%&(-\[\]-~]+")


def quote(text: object, log_format: bool = False) -> str:
    """Return *text* as one word that HAProxy reads literally; raise ValueError for line breaks and unprintable characters.

    Strong quotes remove the special meaning of spaces, ``#``, backslashes, quotation marks and ``$``. They cannot contain ``'``,
    which is escaped outside of them.

    Set *log_format* where HAProxy expects a log-format string, in which ``%`` starts an expression.
    """
    text = one_line(text)
    if log_format:
        text = text.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", r"'\''") + "'"
