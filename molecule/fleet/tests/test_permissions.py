"""Owner, group and mode of every path on a balancer."""

from __future__ import annotations

import permissions
import pytest

TABLE = {
    "/etc/haproxy/asgi": "d root:root 755",
    r"/etc/haproxy/asgi/asgi-(00-(limits|shared)|01-https?-\d+|{app})\.cfg": "f root:root 644",
    r"/etc/haproxy/asgi/(hosts|suffixes|challenges|ports)-\d+\.map": "f root:root 644",
    r"/etc/haproxy/asgi/certificates-\d+\.list": "f root:root 644",
    r"/etc/haproxy/asgi/runtime\.py": "f root:root 644",
    # contains the VRRP password
    r"/etc/keepalived/keepalived\.conf": "f root:root 600",
    "/etc/asgi(/{app})?": "d root:root 755",
    "/etc/asgi/{app}/tls": "d root:root 700",
    r"/etc/asgi/{app}/tls/live\.pem": "f root:root 600",
    r"/etc/systemd/system/haproxy\.service\.d": "d root:root 755",
    r"/etc/systemd/system/haproxy\.service\.d/asgi\.conf": "f root:root 644",
    r"/run/asgi-haproxy\.(changed|loaded)": "f root:root 644",
    r"/run/asgi-haproxy\.(lock|state)": "f root:root 600",
    r"/run/asgi-certbot\.lock": "f root:root 600",
    "/run/asgi-maintain": "d root:root 755",
    "/run/haproxy": "d haproxy:haproxy 2775",
    r"/run/haproxy/admin\.sock": "s root:haproxy 660",
    r"/run/haproxy-master\.sock": "s root:root 755",
    r"/run/haproxy\.pid": "f root:root 644",
}
# Files of the packages haproxy and keepalived.
OTHERS = (
    r"/var/lib/haproxy(/.*)?|/run/(keepalived|vrrp)(\.pid|/.*)?|/etc/iproute2(/rt_addrprotos\.d(/keepalived\.conf)?)?"
)


@pytest.mark.parametrize("number", [0, 1])
def test_every_path_has_the_permissions_of_the_table(fleet, number):
    machine = fleet.balancers[number].site.machine
    faults = permissions.faults(machine.sh, TABLE, ["fleet"], OTHERS)
    # pytest truncates long lists
    assert faults == [], "\n".join(faults)
