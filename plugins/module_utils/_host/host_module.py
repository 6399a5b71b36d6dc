# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base class of all modules of this collection: startup checks, reports of unhandled errors, and printable results."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Callable, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values
from ansible_collections.asgi.deploy.plugins.module_utils._host.ansible_core import PRINTS_EXCEPTIONS
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import SECRET_LENGTH
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported, failure
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import (
    EXPECTED,
    Details,
    error_message,
    split_message,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import UMASK
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable

# ansible-core itself also supports older versions on hosts.
OLDEST_PYTHON = (3, 9)

# Match up to the last "@" before the path, because a password may contain "@".
_USER_INFO = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://([^/\s]+)@")


class HostModule(AnsibleModule):
    """A module with a fixed umask, so that nginx and the app can read the files it creates."""

    def __init__(self, **options) -> None:
        os.umask(UMASK)
        super().__init__(**options)
        # Mask secrets in URLs, because -vvv prints module options. Ansible already hides the app's environment as a whole. Its values are
        # not masked one by one: a database password may be a common word, such as the app's name, which occurs in every returned path.
        hidden = {
            name for name, option in self.argument_spec.items() if option.get("no_log") and option.get("type") == "json"
        }
        self.no_log_values.update(url_secrets([value for name, value in self.params.items() if name not in hidden]))
        if sys.version_info < OLDEST_PYTHON:
            found = ".".join(map(str, sys.version_info[:3]))
            oldest = ".".join(map(str, OLDEST_PYTHON))
            self.fail_json(
                msg=f"{sys.executable} of the host is Python {found}, and asgi.deploy needs {oldest} or newer; nothing has been "
                "changed -> install a newer Python there, and set ansible_python_interpreter to its path"
            )

    def exit_json(self, **result: Any) -> NoReturn:
        super().exit_json(**self._printable(result))

    def warn(self, warning: str, **options: Any) -> None:
        super().warn(self._printable(warning), **options)

    def _printable(self, value: Any) -> Any:
        """Mask secrets in *value* before escaping it, because AnsibleModule cannot recognise escaped secrets."""
        return printable(remove_values(value, self.no_log_values))

    def fail_json(self, msg: Any, **result: Any) -> NoReturn:
        # AnsibleModule does not mask secrets in the exception.
        result = self._printable(result)
        message = self._printable(str(msg))
        first, details = split_message(message)
        if details and "exception" not in result:
            result.update(details=details, **({"exception": Details("\n".join(details))} if PRINTS_EXCEPTIONS else {}))
            message = first
        super().fail_json(msg=message, **result)

    @contextlib.contextmanager
    def reporting(self, prefix: str = "", mask: Callable[[str], str] = str, **result: Any) -> Iterator[None]:
        """Report an expected error as a module failure with *result*; the message consists of *prefix* and the masked reason."""
        try:
            yield
        except EXPECTED as exc:
            code = exc.code if isinstance(exc, Reported) else ""
            self.fail_json(**failure(prefix + mask(error_message(exc)), code), **result)


def url_secrets(value: Any) -> set[str]:
    """Return the passwords and tokens in the URLs of *value*, a module option.

    A user name without a password counts as a token if it is long enough. The names in ssh URLs, such as ``git``, are not secret.
    """
    if isinstance(value, dict):
        return set().union(*map(url_secrets, value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(url_secrets, value))
    found = set()
    for scheme, user_info in _USER_INFO.findall(value) if isinstance(value, str) else ():
        name, colon, password = user_info.partition(":")
        account = scheme.lower().rpartition("+")[2] == "ssh"
        secret = password if colon else "" if account else name
        if len(secret) >= SECRET_LENGTH:
            found |= {secret, user_info}
    return found
