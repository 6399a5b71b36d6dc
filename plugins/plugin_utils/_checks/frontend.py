# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of roles that terminate TLS: names, ports, certificates and HSTS. *role* is the prefix of the variable names."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import certificate as certificates
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.addresses import network
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
SERVER_NAME = re.compile(rf"(?:\*\.{_LABEL}\.)?{_LABEL}(?:\.{_LABEL})*")
SERVER_NAME_LIMIT = 253
HSTS_PRELOAD_AGE = 31536000
VAULT_HEADER = b"$ANSIBLE_VAULT;"


def name_problems(variable: str, names: list[str]) -> Iterator[Problem]:
    for name in names:
        if not SERVER_NAME.fullmatch(name) or len(name) > SERVER_NAME_LIMIT:
            yield Problem("server-name-invalid", variable, f"contains {name!r}, which is not a DNS name")
        elif whole(name.rpartition(".")[2]) is not None:
            yield Problem("server-name-is-address", variable, f"contains {name!r}, which is an address")
    for name in repeated(names):
        yield Problem("server-name-duplicate", variable, f"contains {name!r} more than once")


def served_name_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    variable = f"{role}_server_names"
    if not options[variable]:
        yield Problem("server-names-empty", variable, "is empty")
    yield from name_problems(variable, options[variable])


def least_problems(options: dict[str, Any], at_least: dict[str, int]) -> Iterator[Problem]:
    """Yield a problem for each number below its minimum in *at_least*. Unset options are skipped."""
    for variable, least in at_least.items():
        if variable in options and options[variable] < least:
            yield Problem("number-out-of-range", variable, f"is {options[variable]}", f"use {least} or more")


def status_problems(options: dict[str, Any], variable: str) -> Iterator[Problem]:
    statuses = options[variable]
    if not statuses or any(not 100 <= status <= 599 for status in statuses):
        yield Problem("http-status-invalid", variable, f"is {statuses}")


def port_range_problems(options: dict[str, Any], variables: Iterable[str]) -> Iterator[Problem]:
    for variable in variables:
        if not 1 <= options[variable] <= 65535:
            yield Problem("port-out-of-range", variable, f"is {options[variable]}")


def port_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    http, https = options[f"{role}_http_port"], options[f"{role}_https_port"]
    yield from port_range_problems(options, [f"{role}_http_port", f"{role}_https_port"])
    if http == https:
        yield Problem("port-duplicate", f"{role}_http_port", f"is {http}, like {role}_https_port")


def public_port_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    variable = f"{role}_public_ports"
    for port in options[variable]:
        if not 1 <= port <= 65535:
            yield Problem("port-out-of-range", variable, f"contains {port}")


def address_problems(variable: str, addresses: Iterable[str], where: str = "") -> Iterator[Problem]:
    for address in addresses:
        if not network(address):
            fault = f"contains {address!r}{where}, which is neither an address nor a network"
            yield Problem("address-invalid", variable, fault)


def hsts_problems(options: dict[str, Any], role: str) -> Iterator[Problem]:
    age, subdomains = options[f"{role}_hsts_max_age"], options[f"{role}_hsts_include_subdomains"]
    if options[f"{role}_hsts_preload"] and (not subdomains or age < HSTS_PRELOAD_AGE):
        remedy = f"set {role}_hsts_include_subdomains to true and {role}_hsts_max_age to {HSTS_PRELOAD_AGE} or more, or remove it"
        fault = "is true, but browsers' preload list does not accept the name with these settings"
        yield Problem("hsts-preload-incomplete", f"{role}_hsts_preload", fault, remedy)


def tls_problems(context: Context, role: str, names: list[str], now: datetime) -> Iterator[Problem]:
    """Yield the problems of the certificate, which must cover *names*, and of its key.

    With a provider other than ``provided``, yield a problem for each variable that the provider ignores.
    """
    options, provider = context.options, f"{role}_tls_provider"
    given = {
        part: [form for form in (f"{role}_tls_{part}", f"{role}_tls_{part}_content") if options.get(form)]
        for part in ("certificate", "key")
    }
    if options[provider] != "provided":
        for form in [form for forms in given.values() for form in forms]:
            fault = f"is set, but {provider} is {options[provider]!r}, which does not use it"
            yield Problem("tls-variable-unused", form, fault, f"set {provider} to 'provided', or remove the variable")
        return

    texts = {}
    for part, forms in given.items():
        file, content = f"{role}_tls_{part}", f"{role}_tls_{part}_content"
        if len(forms) != 1:
            code = "tls-file-ambiguous" if forms else "tls-file-missing"
            fault = f"and {content} are both set" if forms else f"is not set, and neither is {content}"
            yield Problem(code, file, fault, f"{provider} is 'provided': set exactly one of {file} and {content}")
        elif forms == [content]:
            texts[part] = options[content].encode()
        else:
            read, problems = read_file(context, file, secret=part == "key")
            yield from problems
            if read is not None:
                texts[part] = read
    if len(texts) == 2:
        for fault in certificates.faults(texts["certificate"], texts["key"], names, now):
            yield Problem(fault.code, given[fault.part][0], fault.fault, fault.remedy)


def bundle_problems(context: Context, variable: str) -> Iterator[Problem]:
    """Yield the problems of the CA bundle on the controller that *variable* names."""
    text, problems = read_file(context, variable, secret=False)
    yield from problems
    for fault in certificates.bundle_faults(text) if text is not None else ():
        yield Problem(fault.code, variable, fault.fault, fault.remedy)


def read_file(context: Context, variable: str, secret: bool) -> tuple[bytes | None, list[Problem]]:
    """Return the content of the file on the controller that *variable* names, and the problems of that file."""
    path = context.find(context.options[variable])
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as exc:
        return None, [Problem("file-unreadable", variable, f"is {str(path)!r}: {exc.strerror}")]
    if text.startswith(VAULT_HEADER):
        remedy = (
            f"unset it and set {variable}_content to \"{{{{ lookup('ansible.builtin.file', '{path}') }}}}\", which decrypts it"
            if "_tls_" in variable
            else f"ansible-vault decrypt {path}: CA certificates are not secret"
        )
        return None, [Problem("file-encrypted", variable, f"is {str(path)!r}, which ansible-vault encrypted", remedy)]
    if secret and mode & stat.S_IROTH:
        fault = f"is {str(path)!r}, which every account of the controller can read"
        return text, [Problem("key-file-world-readable", variable, fault, f"chmod 600 {path}")]
    return text, []


def repeated(values: Iterable[Any]) -> list[Any]:
    """Return the duplicates among *values*."""
    return [value for value, count in Counter(values).items() if count > 1]
