# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a notification to a webhook, without disclosing its URL and headers, which contain secrets."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.urls import open_url

# Seconds to wait before each attempt.
PAUSES = (0, 1, 4)
TIMEOUT = 10
# The 4xx statuses for which a retry may succeed.
TEMPORARY = (408, 425, 429)


def post(url: str, headers: Mapping[str, str], content: Mapping[str, Any]) -> str:
    """Send *content* as JSON, and return why the webhook did not accept it, or an empty string."""
    fault = ""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            with open_url(
                url,
                data=json.dumps(content).encode(),
                headers={**headers, "Content-Type": "application/json"},
                method="POST",
                http_agent="asgi.deploy",
                timeout=TIMEOUT,
                # A redirected POST would become a GET, and send the headers to another server.
                follow_redirects="none",
                # The operator's .netrc would replace the header Authorization.
                use_netrc=False,
            ):
                return ""
        except HTTPError as exc:
            fault = f"it answered HTTP {exc.code}"
            if exc.code < 500 and exc.code not in TEMPORARY:
                break
        except HTTPException:
            # The message may quote the response.
            fault = "its response is not HTTP"
        except (OSError, ValueError) as exc:
            fault = _masked(str(exc), url, headers)
    return fault


def _masked(text: str, url: str, headers: Mapping[str, str]) -> str:
    """Return *text*, which may quote the URL or a header, without secrets."""
    try:
        address = urlsplit(url)
    except ValueError:
        return "its URL is invalid"
    path = address.path + (f"?{address.query}" if address.query else "")
    for secret in (url, path, address.netloc.rpartition("@")[0], *headers.values()):
        if len(secret) > 1:
            text = text.replace(secret, "***")
    return text
