# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a unit that builds a release."""

from __future__ import annotations

import ipaddress

from ansible_collections.asgi.deploy.plugins.module_utils._app import sandbox
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_sandbox import build_properties

RELEASE, CACHE = "/srv/hello/releases/r1", "/var/cache/asgi/apps/hello"


def test_a_build_can_write_only_to_its_release_and_cache():
    found = build_properties(RELEASE, CACHE, None)
    assert ("ProtectSystem", "strict") in found
    assert ("ReadWritePaths", f"{RELEASE} {CACHE}") in found
    assert [value for name, value in found if name == "BindPaths"] == [f"{RELEASE} {CACHE}"]
    hidden = [value.partition(":")[0] for name, value in found if name == "TemporaryFileSystem"]
    assert hidden == ["/srv", "/var/cache/asgi", "/run", "/dev/shm"]


def test_a_build_cannot_pass_open_files_out_of_the_sandbox():
    """A process outside the sandbox could receive an open file over a unix socket, and write to it after root owns the release."""
    found = build_properties(RELEASE, CACHE, None)
    ((_name, families),) = [each for each in found if each[0] == "RestrictAddressFamilies"]
    assert "AF_UNIX" not in families
    assert any(name == "SystemCallFilter" and "~io_uring_setup" in value for name, value in found)
    assert ("SystemCallArchitectures", "native") in found


def test_a_build_cannot_reach_metadata_services():
    found = dict(build_properties(RELEASE, CACHE, None, "nameserver 10.0.0.2\n"))
    assert "169.254.0.0/16" in found["IPAddressDeny"]
    assert "IPAddressAllow" not in found


def test_builds_are_denied_all_metadata_services_that_apps_are_denied():
    denied = [
        ipaddress.ip_network(each) for each in dict(build_properties(RELEASE, CACHE, None))["IPAddressDeny"].split()
    ]
    for address in map(ipaddress.ip_address, sandbox.METADATA):
        assert any(address in network for network in denied), address


def test_a_link_local_name_server_remains_reachable():
    found = build_properties(RELEASE, CACHE, None, "# x\nnameserver 169.254.169.254\nnameserver fe80::1%eth0\n")
    assert [value for name, value in found if name == "IPAddressAllow"] == ["169.254.169.254", "fe80::1"]


def test_a_build_from_controller_wheels_has_no_network():
    found = dict(build_properties(RELEASE, CACHE, "/var/cache/asgi/wheels", "nameserver 169.254.169.254\n"))
    assert found["PrivateNetwork"] == "yes"
    assert found["BindReadOnlyPaths"] == "/var/cache/asgi/wheels"
    assert "IPAddressAllow" not in found
