"""Claims of an app on its host, and clashes between the claims of one inventory."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.claims import (
    claims,
    distinct_ports,
    shared_claims,
)

OPTIONS = {
    "asgi_name": "shop",
    "asgi_server_metrics": True,
    "asgi_server_metrics_listen": "127.0.0.1:9464",
    "asgi_proxy_http_port": 80,
    "asgi_proxy_https_port": 443,
    "asgi_proxy_http3": False,
    "asgi_proxy_redirect": True,
    "asgi_proxy_tls_provider": "selfsigned",
    "asgi_proxy_tls_profile": "intermediate",
    "asgi_proxy_require_sni": True,
    "asgi_proxy_ipv6": True,
    "asgi_proxy_proxy_protocol": False,
    "asgi_proxy_change_port": False,
    "asgi_proxy_server_names": ["shop.test"],
    "asgi_proxy_redirect_names": ["www.shop.test"],
    "asgi_proxy_strip_path": True,
    "asgi_proxy_locations": [],
    "asgi_proxy_static": [],
    "asgi_proxy_acme_extra_names": ["extra.test"],
}
ROLES = ("asgi_app", "asgi_proxy", "asgi_server")


def of(roles=ROLES, **changes):
    return claims({**OPTIONS, **changes}, roles)


def test_claims_of_an_app():
    found = of(asgi_proxy_status_listen="127.0.0.1:8090")
    both = ["shop.test", "www.shop.test"]
    assert found["names"] == {"443": both, "80": both, "8090": ["_"]}
    assert [(each["variable"], each["address"], each["port"]) for each in found["listeners"]] == [
        ("asgi_proxy_https_port", "*", 443),
        ("asgi_proxy_http_port", "*", 80),
        ("asgi_proxy_status_listen", "127.0.0.1", 8090),
        ("asgi_server_metrics_listen", "127.0.0.1", 9464),
    ]
    assert found["metrics"] == "127.0.0.1:9464"
    assert found["agreed"]["443"] == {
        "ipv6": "true",
        "proxy_protocol": "false",
        "tls_profile": "intermediate",
        "require_sni": "true",
    }
    assert found["agreed"]["80"] == {"ipv6": "true", "proxy_protocol": "false"}


@pytest.mark.parametrize(
    ("changes", "plain"),
    [
        ({"asgi_proxy_redirect": False}, None),
        (
            {"asgi_proxy_redirect": False, "asgi_proxy_tls_provider": "acme"},
            ["shop.test", "www.shop.test", "extra.test"],
        ),
        ({"asgi_proxy_tls_provider": "acme"}, ["shop.test", "www.shop.test", "extra.test"]),
    ],
)
def test_names_over_plain_http(changes, plain):
    assert of(**changes)["names"].get("80") == plain


def test_deploy_claims_nothing_of_nginx():
    found = of(roles=("asgi_app", "asgi_server"))
    assert "names" not in found
    assert [each["variable"] for each in found["listeners"]] == ["asgi_server_metrics_listen"]
    assert "metrics" not in of(asgi_server_metrics=False)
    assert "metrics_group" not in found


@pytest.mark.parametrize("listen", [{}, {"asgi_server_metrics_listen": "/run/x.sock"}])
def test_metrics_on_a_unix_socket_claim_no_port(listen):
    options = {"asgi_name": "shop", "asgi_server_metrics": True, "asgi_server_metrics_group": "adm", **listen}
    found = claims(options, ["asgi_server"])
    assert found["listeners"] == []
    assert found["metrics_group"] == "adm"
    assert found.get("metrics") == listen.get("asgi_server_metrics_listen")


@pytest.mark.parametrize(
    ("changes", "variables"),
    [
        ({}, []),
        ({"asgi_server_metrics_listen": "127.0.0.1:443"}, ["asgi_server_metrics_listen"]),
        ({"asgi_server_metrics_listen": "[::1]:80"}, ["asgi_server_metrics_listen"]),
        ({"asgi_server_metrics_listen": "127.0.0.1:80", "asgi_proxy_redirect": False}, []),
        ({"asgi_server_metrics_listen": "127.0.0.1:443", "asgi_server_metrics": False}, []),
        ({"asgi_server_metrics_listen": "/run/443"}, []),
        ({"asgi_proxy_status_listen": "127.0.0.1:9464"}, ["asgi_server_metrics_listen"]),
        ({"asgi_proxy_status_listen": "127.0.0.2:9464"}, []),
        ({"asgi_proxy_status_listen": "127.0.0.1:80"}, ["asgi_proxy_status_listen"]),
        (
            {"asgi_proxy_status_listen": "127.0.0.1:9464", "asgi_server_metrics_listen": "0.0.0.0:9464"},
            ["asgi_server_metrics_listen"],
        ),
    ],
)
def test_port_must_not_be_used_twice(changes, variables):
    assert [problem.variable for problem in distinct_ports({**OPTIONS, **changes})] == variables


def test_ports_of_missing_roles_are_ignored():
    assert distinct_ports({"asgi_server_metrics": True, "asgi_server_metrics_listen": "127.0.0.1:443"}) == []


OTHER = {
    "asgi_name": "blog",
    "asgi_proxy_server_names": ["blog.test"],
    "asgi_proxy_redirect_names": [],
    "asgi_server_metrics_listen": "127.0.0.1:9465",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"asgi_name": "shop"},
            ["both have the app shop -> remove one of them, or set another asgi_name for it [machine-app-duplicate]"],
        ),
        (
            {"asgi_proxy_server_names": ["SHOP.test"], "asgi_proxy_redirect": False},
            [
                "both serve shop.test on port 443 -> set different server names for each app [machine-server-name-duplicate]"
            ],
        ),
        (
            {"asgi_proxy_redirect_names": ["www.shop.test"]},
            ["both serve www.shop.test on port 443", "both serve www.shop.test on port 80"],
        ),
        ({"asgi_proxy_server_names": ["*.shop.test"]}, []),
        ({"asgi_proxy_server_names": ["shop.test"], "asgi_proxy_https_port": 8443, "asgi_proxy_redirect": False}, []),
        (
            {"asgi_server_metrics_listen": "127.0.0.1:9464"},
            [
                "both use port 9464 (asgi_server_metrics_listen, asgi_server_metrics_listen) -> set a different port for each [machine-port-duplicate]"
            ],
        ),
        ({"asgi_server_metrics_listen": "127.0.0.2:9464"}, []),
        (
            {"asgi_proxy_status_listen": "127.0.0.1:9464"},
            ["both use port 9464 (asgi_server_metrics_listen, asgi_proxy_s"],
        ),
        ({"asgi_server_metrics_listen": "127.0.0.1:80"}, ["both use port 80 (asgi_proxy_http_port, asgi_server_m"]),
        (
            {"asgi_proxy_tls_profile": "modern"},
            [
                "on port 443, asgi_proxy_tls_profile is intermediate and modern -> set the same value for both, or use another port [machine-port-settings"
            ],
        ),
    ],
)
def test_two_inventory_names_of_one_machine_must_not_clash(changes, expected):
    hostvars = {
        "one": {"ansible_host": "192.0.2.1", "checked": {"claims": of()}},
        "two": {"ansible_host": "192.0.2.1", "checked": {"claims": of(**{**OTHER, **changes})}},
    }
    found = shared_claims(["one", "two"], hostvars, "checked")
    assert len(found) == len(expected)
    assert all(
        each.startswith("one and two are names of one machine, and ") and words in each
        for each, words in zip(found, expected, strict=True)
    )


def test_two_apps_must_not_share_a_status_page():
    status = {"asgi_proxy_status_listen": "127.0.0.1:8090"}
    hostvars = {
        name: {"ansible_host": "a", "checked": {"claims": of(**options)}}
        for name, options in {"one": status, "two": {**OTHER, **status}}.items()
    }
    [message] = shared_claims(["one", "two"], hostvars, "checked")
    assert "both use port 8090 (asgi_proxy_status_listen, asgi_proxy_status_listen)" in message


@pytest.mark.parametrize(
    "ways",
    [
        ({"ansible_host": "192.0.2.1"}, {"ansible_host": "192.0.2.2"}),
        ({}, {}),
        ({"ansible_host": "127.0.0.1", "ansible_port": 2201}, {"ansible_host": "127.0.0.1", "ansible_port": 2202}),
        (
            {"ansible_host": "127.0.0.1", "ansible_ssh_port": 2201},
            {"ansible_host": "127.0.0.1", "ansible_ssh_port": 2202},
        ),
        ({"ansible_host": "a", "ansible_ssh_args": "-J b"}, {"ansible_host": "a", "ansible_ssh_args": "-J c"}),
        ({"ansible_host": "a", "ansible_connection": "local"}, {"ansible_host": "a"}),
    ],
)
def test_two_machines_may_have_the_same_app(ways):
    hostvars = {name: {**way, "checked": {"claims": of()}} for name, way in zip(("one", "two"), ways, strict=True)}
    assert shared_claims(["one", "two"], hostvars, "checked") == []


def test_an_app_with_a_path_claims_nothing_but_the_path():
    found = of(asgi_proxy_path="/api", asgi_proxy_redirect_names=[])
    assert found["path"] == {"path": "/api", "name": "shop.test", "strips": True}
    assert found["names"] == {}
    assert "agreed" not in found
    assert not [each for each in found["listeners"] if each["variable"].startswith("asgi_proxy_")]


def clash(one, other):
    """Return the clashes between the claims of two apps on one machine."""
    plays = {"web1": {"asgi_name": "one", **one}, "web2": {"asgi_name": "two", **other}}
    machine = {"ansible_host": "192.0.2.1"}
    hostvars = {
        host: {**machine, "found": {"claims": of(asgi_server_metrics=False, asgi_proxy_redirect_names=[], **play)}}
        for host, play in plays.items()
    }
    return shared_claims(list(plays), hostvars, "found")


def test_several_apps_of_a_machine_share_a_name_if_their_paths_differ():
    assert clash({}, {"asgi_proxy_path": "/api"}) == []
    assert clash({"asgi_proxy_path": "/web"}, {"asgi_proxy_path": "/api"}) == []
    assert "path /api of shop.test" in clash({"asgi_proxy_path": "/api"}, {"asgi_proxy_path": "/api"})[0]
    assert "both serve shop.test" in clash({}, {})[0]


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("asgi_proxy_locations", [{"url": "/"}, {"url": "/api"}, {"url": "/apis"}], "/api"),
        ("asgi_proxy_locations", [{"url": "/api/admin", "basic_auth": "Staff"}], "/api/admin"),
        ("asgi_proxy_static", [{"url": "/static/", "path": "a"}, {"url": "/api/static/", "path": "b"}], "/api/static/"),
        ("asgi_proxy_health_url", "/api/health", "/api/health"),
    ],
)
def test_the_owner_of_a_name_configures_no_url_of_another_app(variable, value, url):
    owner, joined = {variable: value}, {"asgi_proxy_path": "/api"}
    expected = f"{variable} of one contains {url!r}, but /api belongs to two"
    assert [each for each in clash(owner, joined) if expected in each] == clash(owner, joined) != []
    assert len(clash(joined, owner)) == 1
    assert clash(owner, {"asgi_proxy_path": "/elsewhere"}) == []
    assert clash(owner, {"asgi_proxy_path": "/api", "asgi_proxy_server_names": ["other.test"]}) == []
    # the URLs of an app with a path are relative to the path
    assert clash({**owner, "asgi_proxy_path": "/web"}, joined) == []
