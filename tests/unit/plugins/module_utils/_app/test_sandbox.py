"""The settings of an app's sandbox, in a slot and in a transient unit."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import (
    FIXED,
    denied_name_servers,
    from_drop_in,
    properties,
    transient,
)


def values(name, **settings):
    """Return the values of the setting *name* in the sandbox of the app shop with these variables."""
    return [value for setting, value in properties("shop", settings) if setting == name]


def test_other_apps_are_hidden_including_later_ones():
    assert values("TemporaryFileSystem")[:2] == ["/srv:ro", "/etc/asgi:ro"]
    assert values("BindReadOnlyPaths") == ["/srv/shop"]
    assert values("ReadWritePaths") == ["/srv/shop/shared", "-/srv/shop/cache"]
    assert values("ProtectProc") == ["invisible"]
    assert "-/run/dbus" in values("InaccessiblePaths")[0]


@pytest.mark.parametrize(
    ("listed", "setting", "value"),
    [
        # A path in a hidden directory is bind-mounted into the tmpfs that replaces the directory.
        ({"write_paths": ["/srv/data"]}, "BindPaths", "/srv/data"),
        ({"write_paths": ["/srv/data"]}, "ReadWritePaths", "/srv/data"),
        ({"write_paths": ["/srv/data"]}, "TemporaryFileSystem", "/srv:ro"),
        ({"read_paths": ["/srv/data"]}, "BindReadOnlyPaths", "/srv/data"),
        ({"read_paths": ["/home/models"]}, "ProtectHome", "tmpfs"),
        ({"write_paths": ["/home/models"]}, "BindPaths", "/home/models"),
    ],
)
def test_listed_paths_are_visible(listed, setting, value):
    assert value in values(setting, **listed)


@pytest.mark.parametrize(
    ("listed", "setting", "value"),
    [
        ({"read_paths": ["/srv"]}, "TemporaryFileSystem", "/srv:ro"),
        ({"write_paths": ["/"]}, "TemporaryFileSystem", "/etc/asgi:ro"),
        ({"write_paths": ["/var/lib/shop"]}, "BindPaths", "/var/lib/shop"),
        ({"read_paths": ["/srv-data"]}, "ProtectHome", "tmpfs"),
    ],
)
def test_a_listed_directory_is_not_hidden(listed, setting, value):
    assert value not in values(setting, **listed)


@pytest.mark.parametrize("path", ["/run/dbus", "/run/dbus/system_bus_socket", "/run"])
def test_a_listed_socket_is_accessible(path):
    [denied] = values("InaccessiblePaths", read_paths=[path])

    assert "-/run/dbus" not in denied


@pytest.mark.parametrize(
    ("value", "denied"), [(False, True), ("false", True), (None, True), (True, False), ("true", False)]
)
def test_cloud_metadata_allows_metadata_services(value, denied):
    found = values("IPAddressDeny", cloud_metadata=value)

    assert bool(found) is denied
    assert all("169.254.169.254" in addresses and "168.63.129.16" not in addresses for addresses in found)


def test_a_denied_name_server_is_detected():
    found = properties("shop", {})

    assert denied_name_servers(found, "search x\nnameserver 169.254.169.254\nnameserver 1.1.1.1\n") == [
        "169.254.169.254"
    ]
    assert denied_name_servers(found, "nameserver 127.0.0.53\n#nameserver 169.254.169.254\n") == []
    assert denied_name_servers(properties("shop", {"cloud_metadata": True}), "nameserver 169.254.169.254\n") == []


def test_settings_of_the_inventory_come_last():
    found = properties("shop", {"unit_settings": {"ProcSubset": "all", "MemoryDenyWriteExecute": False}})

    assert found[-2:] == [("MemoryDenyWriteExecute", False), ("ProcSubset", "all")]


def test_a_transient_unit_has_only_restricting_settings():
    found = transient(
        properties("shop", {"unit_settings": {"ExecStartPre": "/bin/x", "RestartSec": 3, "LimitNOFILE": 5, "Nice": 5}})
    )

    assert {name for name, _value in found} >= {name for name, _value in FIXED}
    assert found[-2:] == [("LimitNOFILE", "5"), ("Nice", "5")]


def test_a_transient_unit_may_write_to_the_directories_of_the_app_that_outlive_it():
    """A migration may change a database there. systemd would remove a runtime directory, which the slots use, when the unit ends."""
    settings = {"StateDirectory": ["shop", "shop/db"], "StateDirectoryMode": "0750", "RuntimeDirectory": "shop-cache"}

    found = transient(properties("shop", {"unit_settings": settings}))

    assert found[-2:] == [("StateDirectory", "shop shop/db"), ("StateDirectoryMode", "0750")]


@pytest.mark.parametrize("name", ["AppArmorProfile", "SELinuxContext", "NetworkNamespacePath", "IPCNamespacePath"])
def test_a_transient_unit_is_confined_as_the_slots_are(name):
    assert transient(properties("shop", {"unit_settings": {name: "x"}}))[-1] == (name, "x")


def test_specifiers_of_a_slot_are_expanded():
    assert from_drop_in("# x=y\n[Service]\nReadWritePaths=/x/%i/50%%\nExecStart=\n", "green") == [
        ("ReadWritePaths", "/x/green/50%"),
        ("ExecStart", ""),
    ]
