#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that a balancer passes clients on to an app, and whether it holds the virtual address."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_health
short_description: Check that a balancer passes clients on to an app, and whether it holds the virtual address
version_added: 1.0.0
description:
  - Sends one request for each server name to the HAProxy of this host, over HTTPS, as a client does.
  - With O(virtual_ip), waits until keepalived has settled, then reports whether this host holds the address, and whether the address
    answers at all. A single host cannot detect every problem; M(asgi.deploy.fleet_check) compares all hosts.
  - Changes nothing, and returns problems instead of failing.
options:
  names:
    description:
      - The server names. For a wildcard name, the module requests the name with C(www) in place of the asterisk.
      - The response for the first name must have one of O(statuses), as in HAProxy's own checks. The other names may also redirect.
    type: list
    elements: str
    required: true
  port:
    description: The HTTPS port of HAProxy.
    type: int
    required: true
  path:
    description: The path to request.
    type: str
    required: true
  statuses:
    description: The HTTP statuses of a healthy response.
    type: list
    elements: int
    required: true
  seconds:
    description: Seconds to wait for healthy responses, for all names together. Then the module waits for at most the same time until a
      balancer holds the virtual address.
    type: int
    default: 20
  virtual_ip:
    description: The virtual address that the balancers share.
    type: str
  address:
    description: The address of this balancer among O(peers). Returned unchanged.
    type: str
  peers:
    description: The addresses of all balancers that share the virtual address. Returned unchanged.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - asgi.deploy.read_only
seealso:
  - module: asgi.deploy.fleet_check
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Request the app through the balancer
  asgi.deploy.balancer_health:
    names: [shop.example.com]
    port: 443
    path: /health
    statuses: [200]
    virtual_ip: 192.0.2.10/24
  register: found
"""

RETURN = r"""
faults:
  description: The fault of each unhealthy response, by server name.
  type: dict
  returned: success
virtual_ip:
  description: Value of O(virtual_ip).
  type: str
  returned: with O(virtual_ip)
address:
  description: Value of O(address).
  type: str
  returned: with O(virtual_ip)
peers:
  description: Value of O(peers).
  type: list
  elements: str
  returned: with O(virtual_ip)
vrrp:
  description: The state of the virtual address.
  type: dict
  returned: with O(virtual_ip)
  contains:
    holds:
      description: Whether this host holds the address.
      type: bool
    answers:
      description: Whether the port of HAProxy accepts connections at the address.
      type: bool
    running:
      description: Whether keepalived runs.
      type: bool
    state:
      description: The last state that keepalived has entered, such as V(MASTER), V(BACKUP) or V(FAULT).
      type: str
    script:
      description: Why keepalived's check of HAProxy fails, which makes it release the address; empty if the check passes.
      type: str
    log:
      description: keepalived's last log lines that may explain a problem.
      type: list
      elements: str
"""

import contextlib
import os
import socket
import time

from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe, wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils._balancer import vrrp
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import BALANCER
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import REDIRECTS, SAMPLE_LABEL
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import ask_proxy

UNIT = "keepalived.service"
ADDRESSES = "/proc/net/fib_trie"
CONFIGURATION = "/etc/keepalived/keepalived.conf"
# Time that keepalived needs after a start or reload to take the address or detect its holder: two successful checks and three
# missed advertisements.
SETTLING_SECONDS = 8
REQUEST_SECONDS = 5
# status of a proxy's response for a name that it does not serve
MISDIRECTED = 421


def main():
    module = HostModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "required": True},
            "path": {"type": "str", "required": True},
            "statuses": {"type": "list", "elements": "int", "required": True},
            "seconds": {"type": "int", "default": 20},
            "virtual_ip": {"type": "str"},
            "address": {"type": "str"},
            "peers": {"type": "list", "elements": "str", "default": []},
        },
        required_by={"virtual_ip": ["address", "peers"]},
        supports_check_mode=True,
    )
    params = module.params
    result = {"faults": {}}
    end = time.monotonic() + params["seconds"]
    for number, name in enumerate(params["names"]):
        # the app's hosts may redirect the other names to the first one
        fault = _fault(name, params, (*params["statuses"], *(REDIRECTS if number else ())), end)
        if fault:
            result["faults"][name] = fault
    if params["virtual_ip"]:
        result.update({name: params[name] for name in ("virtual_ip", "address", "peers")})
        result["vrrp"] = _shared_address(module)
    module.exit_json(changed=False, **result)


def _fault(name, params, statuses, end):
    host = name.replace("*", SAMPLE_LABEL, 1)
    probe = Probe(params["path"], host, statuses, 1, REQUEST_SECONDS, end - time.monotonic())

    def ask(_where, probe):
        status, body = ask_proxy(host, params["port"], probe)
        # the app may reject the sample name of a wildcard
        refused = host != name and 400 <= status < 500 and status != MISDIRECTED
        return (statuses[0] if refused else status), body

    return wait_healthy(f"https://{host}:{params['port']}", probe, ask=ask)


def _shared_address(module):
    address, seconds = module.params["virtual_ip"].partition("/")[0], module.params["seconds"]
    status, _out, _err = module.run_command(["systemctl", "is-active", "--quiet", UNIT])
    found = {"running": status == 0}
    if found["running"]:
        time.sleep(max(0, SETTLING_SECONDS - _age(module)))
    deadline = time.monotonic() + (seconds if found["running"] else 0)
    while True:
        found["holds"] = address in vrrp.local_addresses(read_text(ADDRESSES) or "")
        found["answers"] = _answers(address, module.params["port"])
        if found["holds"] or found["answers"] or time.monotonic() > deadline:
            break
        time.sleep(1)
    _status, journal, _err = module.run_command(
        ["journalctl", f"--unit={UNIT}", "--boot", "--output=cat", "--no-pager", "--lines=200"]
    )
    status, out, err = module.run_command(["/usr/bin/python3", "-IS", f"{BALANCER}/runtime.py", "check"])
    return {
        **found,
        "state": vrrp.parse_state(journal),
        "log": vrrp.complaints(journal),
        "script": (err or out).strip().rpartition("\n")[2] or f"exit status {status}" if status else "",
    }


def _age(module):
    """Return the seconds since keepalived loaded its current configuration."""
    properties = ["systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", UNIT]
    _status, out, _err = module.run_command(properties)
    since = [time.clock_gettime(time.CLOCK_MONOTONIC) - int(out.strip() or 0) / 1e6]
    with contextlib.suppress(OSError):
        since.append(max(0, time.time() - os.stat(CONFIGURATION).st_mtime))
    return min(since)


def _answers(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
