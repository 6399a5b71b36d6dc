"""Owner, group and mode of every path that a deployment creates.

A path without a row in tests/permissions.py fails the test, so that the author of a new path must decide on its permissions.
"""

from __future__ import annotations

import permissions
import pytest
from traffic.playbooks import wait_for

APPS = ("hello", "titiler")
# Created by tests/hosts/hardened.yml and other tests of the scenario.
OTHERS = (
    r"/var/lib/deployer(/.*)?|/etc/systemd/system/(sysinit\.target\.wants/)?hardened\.service|/root/(key|crt|live\.pem)"
    r"|/var/tmp/(prepared|hook-\w+|command-lines)"
)


def test_every_path_has_the_permissions_of_the_table(hello):
    run = hello.host.check_output
    assert hello.host.file("/var/log/nginx/hello.access.log").exists
    assert permissions.faults(run, permissions.APP, APPS, OTHERS) == []


def test_only_root_can_write_to_a_release(app):
    """The table does not describe files of packages."""
    writable = r"\( ! -user root -o ! -type l -perm /022 \)"
    assert app.host.check_output(f"find /srv/{app.name}/releases {writable} -print") == ""


@pytest.mark.parametrize("name", ["access", "error"])
def test_only_root_and_adm_can_read_the_logs(app, name):
    log = f"/var/log/nginx/{app.name}.{name}.log"
    assert app.host.run(f"runuser -u nobody -- cat {log}").rc != 0
    assert app.host.run(f"runuser -u {app.name} -- cat {log}").rc != 0
    assert app.host.run(f"runuser -u nobody -g adm -- cat {log}").rc == 0


def test_nginx_writes_to_a_rotated_log(one_hello):
    """Like logrotate, the test creates the file before nginx opens it. nginx keeps its permissions."""
    host, log = one_hello.host, "/var/log/nginx/hello.access.log"
    host.check_output(f"mv {log} {log}.1 && install -o www-data -g adm -m 0640 /dev/null {log} && nginx -s reopen")
    wait_for(lambda: one_hello.ask("/health").status == 200 and host.file(log).size > 0, "a line in the new log")
    assert host.check_output(f"stat -c '%U:%G %a' {log} {log}.1").split() == ["www-data:adm", "640"] * 2
    host.check_output(f"cat {log} >> {log}.1 && mv {log}.1 {log} && nginx -s reopen")


def test_readable_logs_are_detected_and_repaired(one_hello, playbook):
    log = "/var/log/nginx/hello.error.log"
    one_hello.host.check_output(f"cp {log} {log}.1 && chown root:root {log} {log}.1 && chmod 0644 {log} {log}.1")
    try:
        _status, output = playbook("doctor", *one_hello.limit)
        assert f"{log} is root:root 0644" in output

        output = playbook.succeeds("site", *one_hello.limit)

        assert "changed=1 " in output
        assert one_hello.host.check_output(f"stat -c '%U:%G %a' {log} {log}.1").split() == ["www-data:adm", "640"] * 2
    finally:
        one_hello.host.check_output(f"rm -f {log}.1")
    output = playbook.succeeds("site", *one_hello.limit)
    assert "changed=0 " in output
