# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the files that nginx's sites include."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_site import INCLUDE_PREFIX, INCLUDE_SUFFIX


def include_names(texts: Mapping[str, str]) -> dict[str, str]:
    """Return a file name for each of *texts*, under the same keys.

    The name contains a checksum of the text. Apps of a host may use different versions of the collection; with one name for all
    versions, the play of an older version would replace the settings of the newer sites.
    """
    return {
        key: f"{INCLUDE_PREFIX}{key}-{hashlib.sha256(text.encode()).hexdigest()[:8]}{INCLUDE_SUFFIX}"
        for key, text in texts.items()
    }
