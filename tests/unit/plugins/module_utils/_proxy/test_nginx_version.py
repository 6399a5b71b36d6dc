"""The version and the features of a host's nginx."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_version import (
    PACKAGED,
    host_nginx,
    nginx_features,
)

FEATURES = ("http2_directive", "http3", "keepalive_min_timeout")
NONE, HTTP, ALL = (False, False, False), (True, True, False), (True, True, True)
HTTP3 = "\nbuilt with OpenSSL 3.5.4\nconfigure arguments: --with-http_v2_module --with-http_v3_module"

POLICY = """nginx:
  Installed: (none)
  Candidate: {}
  Version table:
     1.27.4-1 500
"""

TRIXIE = 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n'
BOOKWORM = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
FORKY = 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=forky\nID=debian\n'
NOBLE = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n'
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'
ALMA = 'ID="almalinux"\nVERSION_ID="10.0"\n'


@pytest.mark.parametrize(
    ("build", "version", "features"),
    [
        ("nginx version: nginx/1.18.0 (Ubuntu)", "1.18.0", NONE),
        ("nginx version: nginx/1.22.1", "1.22.1", NONE),
        ("nginx version: nginx/1.25.0", "1.25.0", NONE),
        ("nginx version: nginx/1.25.0" + HTTP3, "1.25.0", (False, True, False)),
        ("nginx version: nginx/1.25.1" + HTTP3, "1.25.1", HTTP),
        ("nginx version: nginx/1.26.3" + HTTP3, "1.26.3", HTTP),
        ("nginx version: nginx/1.27.3" + HTTP3, "1.27.3", HTTP),
        ("nginx version: nginx/1.27.4" + HTTP3, "1.27.4", ALL),
        ("nginx version: nginx/1.30.6 (Ubuntu)" + HTTP3, "1.30.6", ALL),
        ("nginx version: nginx/1.30.6", "1.30.6", (True, False, True)),
        ("nginx version: nginx/2.0.0" + HTTP3, "2.0.0", ALL),
        # NGINX Plus reports the nginx version that it is based on
        ("nginx version: nginx/1.27.4 (nginx-plus-r34)" + HTTP3, "1.27.4", ALL),
        ("nginx version: openresty/1.25.3.2" + HTTP3, "1.25.3", HTTP),
        ("nginx version: openresty/1.21.4.1", "1.21.4", NONE),
        ("nginx version: openresty/1.29.2.1" + HTTP3, "1.29.2", ALL),
        ("Angie version: Angie/1.11.8\nnginx version: nginx/1.29.3" + HTTP3, "1.29.3", ALL),
        ("Angie version: Angie/1.11.8" + HTTP3, "", (False, True, False)),
        ("freenginx version: freenginx/1.29.3" + HTTP3, "", (False, True, False)),
        ("freenginx version: freenginx/1.29.3", "", NONE),
        ("nginx: [alert] could not open error log file\nnginx version: nginx/1.26.3" + HTTP3, "1.26.3", HTTP),
        ("configure arguments: --with-cc-opt=-DX=nginx version: nginx/9.9.9", "", NONE),
        ("nginx version: nginx", "", NONE),
        ("", "", NONE),
    ],
)
def test_features_of_an_installed_nginx(build, version, features):
    # the distribution's version does not matter
    found = nginx_features(build, POLICY.format("1.30.0-1"), FORKY)

    assert (found["version"], found["source"]) == (version, "installed")
    assert tuple(found[feature] for feature in FEATURES) == features


@pytest.mark.parametrize(
    ("policy", "os_release", "version", "source", "features"),
    [
        # nginx.org's repository on Debian 12
        (POLICY.format("1.30.1-1~bookworm"), BOOKWORM, "1.30.1", "candidate", ALL),
        (POLICY.format("1.26.3-3+deb13u11"), BOOKWORM, "1.26.3", "candidate", HTTP),
        (POLICY.format("1:1.22.1-9"), TRIXIE, "1.22.1", "candidate", NONE),
        (POLICY.format("(none)"), TRIXIE, "1.26.3", "distribution", HTTP),
        ("", TRIXIE, "1.26.3", "distribution", HTTP),
        ("", BOOKWORM, "1.22.1", "distribution", NONE),
        ("", FORKY, "1.30.0", "distribution", ALL),
        ("", NOBLE, "1.24.0", "distribution", NONE),
        ("", MINT, "1.24.0", "distribution", NONE),
        ("", ALMA, "", "distribution", NONE),
        ("", "", "", "distribution", NONE),
        ("N: Unable to locate package nginx\n", "ID=debian\nVERSION_CODENAME=duke\n", "", "distribution", NONE),
    ],
)
def test_features_of_the_package(policy, os_release, version, source, features):
    found = nginx_features(None, policy, os_release)

    assert (found["version"], found["source"]) == (version, source)
    assert tuple(found[feature] for feature in FEATURES) == features


@pytest.mark.parametrize("codename", PACKAGED)
def test_a_quoted_codename_is_found(codename):
    assert nginx_features(None, "", f'VERSION_CODENAME="{codename}"\n')["version"]


def test_host_nginx(tmp_path):
    commands = []

    def run_command(argv, **options):
        commands.append(argv)
        return (0, "", "nginx version: nginx/1.27.4\n") if argv[0] == "/usr/sbin/nginx" else (0, "", "")

    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(BOOKWORM)

    assert host_nginx(run_command, "/usr/sbin/nginx", "/usr/bin/apt-cache")["version"] == "1.27.4"
    assert host_nginx(run_command, None, "/usr/bin/apt-cache", f"{tmp_path}/")["version"] == "1.22.1"
    assert host_nginx(run_command, None, None, f"{tmp_path}/")["version"] == "1.22.1"
    assert commands == [["/usr/sbin/nginx", "-V"], ["/usr/bin/apt-cache", "policy", "nginx"]]
