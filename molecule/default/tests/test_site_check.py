"""A playbook fails if the site does not answer: each test plants a fault, expects its cause, and repairs it."""

from __future__ import annotations

import re

import pytest

# prefix of the commands below
PRELUDE = """
set -eu
live=/run/hello/$(readlink /run/hello/live.sock || true)
pem=/etc/asgi/hello/tls/live.pem
here=$(hostname -I | cut -d' ' -f1)
# adds a foreign site: file, listen, further directives
foreign() {
    echo "server { listen $2; ssl_certificate $pem; ssl_certificate_key $pem; $3 }" >/etc/nginx/conf.d/$1
    systemctl restart nginx
}
# installs another certificate than nginx serves
certificate() {
    cp -p $pem /root/live.pem
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=hello.test -addext subjectAltName=DNS:hello.test \\
        -keyout /root/key -out /root/crt 2>/dev/null
    cat /root/crt /root/key >$pem
}
"""
NO_FOREIGN = "rm /etc/nginx/conf.d/*foreign.conf; systemctl restart nginx"

# name -> command that plants the fault, command that repairs it, expected message of deploy.yml
FAULTS = {
    "another user": (
        "sed -i 's/^user .*/user nobody nogroup;/' /etc/nginx/nginx.conf; systemctl restart nginx",
        "sed -i 's/^user .*/user www-data;/' /etc/nginx/nginx.conf; systemctl restart nginx",
        r"nginx's workers run as nobody and may not connect to the live slot: /run/hello/\w+\.sock \(root:www-data 0660\)",
    ),
    "no include": (
        "sed -i 's,include /etc/nginx/conf.d,#&,' /etc/nginx/nginx.conf; systemctl restart nginx",
        "sed -i 's,#\\(include /etc/nginx/conf.d\\),\\1,' /etc/nginx/nginx.conf; systemctl restart nginx",
        r"nginx does not read /etc/nginx/conf\.d/asgi-hello\.conf -> put .include /etc/nginx/conf\.d/\*\.conf;.",
    ),
    "another site with the server name": (
        "foreign aaa-foreign.conf '443 ssl' 'server_name hello.test; return 404;'",
        NO_FOREIGN,
        r"/etc/nginx/conf\.d/aaa-foreign\.conf serves hello\.test, too, and nginx reads it first",
    ),
    "another site for plain HTTP": (
        "foreign aaa-foreign.conf 80 'server_name hello.test; return 200;'",
        NO_FOREIGN,
        r"http://hello\.test/ \([\d.]+\): answered with 200 by another site; /etc/nginx/conf\.d/aaa-foreign\.conf serves hello\.test",
    ),
    "another site on the address": (
        "foreign zzz-foreign.conf $here':443 ssl' 'server_name x; return 404;'",
        NO_FOREIGN,
        r"/etc/nginx/conf\.d/zzz-foreign\.conf listens on [\d.]+ explicitly",
    ),
    "another default server": (
        "foreign zzz-foreign.conf '443 ssl default_server' 'return 404;' || true",
        NO_FOREIGN,
        r"nginx is not running, and rejects its configuration: .*a duplicate default server for 0\.0\.0\.0:443",
    ),
    "a certificate that nginx has not loaded": (
        "certificate",
        "cp -p /root/live.pem $pem; systemctl reload nginx; touch /run/asgi-nginx.loaded",
        r"https://hello\.test/: nginx serves another certificate \(\w+\) than the one in /etc/asgi/hello/tls/live\.pem",
    ),
}


def unwrapped(output):
    """Return *output* on one line, because Ansible may wrap sentences."""
    return re.sub(r"\s+", " ", output)


@pytest.mark.parametrize(("fault", "repair", "cause"), FAULTS.values(), ids=FAULTS)
def test_dead_site_fails_with_its_cause(one_hello, playbook, plant, fault, repair, cause):
    plant(fault, repair)

    status, output = playbook("deploy", *one_hello.limit)

    assert status == 2, output
    assert "the site of hello does not answer from its live slot" in unwrapped(output)
    assert re.search(cause, unwrapped(output)), output
    assert re.search(r"changed=0\s.*failed=1", output), "the release must stay live, because it is not the cause"


@pytest.mark.parametrize("name", ["reload", "deploy", "site"])
@pytest.mark.parametrize("removed", ["$live", "/run/hello/*.sock"], ids=["socket", "sockets-and-link"])
def test_removed_socket_is_replaced(one_hello, playbook, plant, name, removed):
    slot = one_hello.live
    # nginx keeps idle connections to the slot for two seconds.
    plant(f"rm {removed}; sleep 3")
    assert one_hello.ask("/health").status == 502

    playbook.succeeds(name, *one_hello.limit)

    assert one_hello.ask("/health").status == 200
    assert one_hello.live != slot, "the old workers must be drained"
    status, output = playbook("site", *one_hello.limit)
    assert (status, "changed=0" in output) == (0, True), output


def test_deploy_succeeds_if_the_site_asks_for_a_password(one_hello, playbook, plant):
    """Otherwise such a site would block every deploy."""
    plant(
        "echo 'auth_basic x; auth_basic_user_file /etc/nginx/none;' >/etc/nginx/conf.d/foreign.conf; systemctl restart nginx",
        NO_FOREIGN,
    )
    slot = one_hello.live

    for greeting in ("Good morning", "Good evening"):
        environment = {**one_hello.variables["asgi_env"], "HELLO_GREETING": greeting}
        output = playbook.succeeds("deploy", *one_hello.limit, asgi_env=environment)
        assert "is answered by nginx itself with 401 (a password is required); slot" in unwrapped(output)
    assert one_hello.live == slot, "two activations"


def test_release_stays_live_on_a_site_that_was_dead_before(one_hello, playbook, plant):
    """The release may be the repair, so it stays live, but the run fails."""
    fault, repair, cause = FAULTS["another user"]
    plant(fault, repair)
    slot = one_hello.live

    for greeting in ("Good morning", "Good evening"):
        environment = {**one_hello.variables["asgi_env"], "HELLO_GREETING": greeting}
        status, output = playbook("deploy", *one_hello.limit, asgi_env=environment)
        assert status == 2, output
        assert re.search(cause, unwrapped(output)), output
    assert one_hello.live == slot, "two activations"


def test_certificate_is_loaded_despite_a_newer_timestamp(one_hello, playbook, plant):
    fault, repair, _cause = FAULTS["a certificate that nginx has not loaded"]
    plant(fault + "; touch -d '2100-01-01' /run/asgi-nginx.loaded", repair)

    playbook.succeeds("site", *one_hello.limit)

    expected = one_hello.host.check_output(
        "openssl x509 -in /etc/asgi/hello/tls/live.pem -noout -fingerprint -sha256 | cut -d= -f2"
    )
    served = one_hello.host.check_output(
        "openssl s_client -connect 127.0.0.1:443 -servername hello.test </dev/null 2>/dev/null "
        "| openssl x509 -noout -fingerprint -sha256 | cut -d= -f2"
    )
    assert served == expected
    status, output = playbook("site", *one_hello.limit)
    assert (status, "changed=0" in output) == (0, True), output


def test_maintenance_page_that_nginx_cannot_read_fails(one_hello, playbook, plant):
    plant("rm -f /etc/asgi/hello/maintenance.html; chmod 0700 /etc/asgi", "chmod 0755 /etc/asgi")
    try:
        status, output = playbook("maintenance_page", *one_hello.limit, asgi_maintenance="on")
        assert status == 2, output
        assert "may not read the maintenance page" in unwrapped(output)
        assert "no search permission on /etc/asgi (root:root 0700)" in unwrapped(output)
        one_hello.host.check_output("chmod 0755 /etc/asgi")
        playbook.succeeds("maintenance_page", *one_hello.limit, asgi_maintenance="on")
        assert one_hello.ask("/").status == 503
        # The site check of a deploy bypasses maintenance, and reports the response for visitors.
        output = playbook.succeeds("deploy", *one_hello.limit)
        assert "visitors get the maintenance page" in unwrapped(output)
    finally:
        playbook.succeeds("maintenance_page", *one_hello.limit, asgi_maintenance="off")


def test_other_clients_do_not_receive_the_header_of_the_check(one_hello):
    answer = one_hello.ask("/health", headers={"X-Asgi-Site-Check": "self", "X-Forwarded-For": "127.0.0.1"})
    assert answer.status == 200
    assert "X-Asgi-Site-Check" not in answer.headers


def test_summary_reports_release_slot_and_certificate(one_hello, playbook):
    output = playbook.succeeds("deploy", *one_hello.limit)

    release = one_hello.json("/")["release"]
    row = rf"debian\d+-hello +answers +https://hello\.test/ +{release} +{one_hello.live} +self-signed, \d+ days +no"
    assert re.search(row, unwrapped(output)), output


def test_check_mode_skips_the_site_check_and_changes_nothing(one_hello, playbook, plant):
    plant("rm $live; sleep 3")
    status, output = playbook("deploy", *one_hello.limit, "--check")
    assert status == 0, "check mode failed for a fault that the run would repair\n" + output
    assert "not checked" in output
    assert one_hello.ask("/health").status == 502

    playbook.succeeds("deploy", *one_hello.limit)
