"""Hostile values in an inventory cannot add directives to the files of nginx, HAProxy, systemd or keepalived.

The first half runs the playbooks, which must reject each value before any change. The second half renders accepted values and validates
the files with the programs that read them.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest
import testinfra
from ansible_collections.asgi.deploy.plugins.module_utils._balancer.haproxy_site import lookup_files
from rendering import HOST, Preflight, rendered

PWN = "/usr/bin/touch /pwned"
SCOPE = "fe80::1%a"

# Variables for site.yml, and the variable that the message must name.
ATTEMPTS = {
    "a trusted address that closes the server": (
        {"asgi_proxy_trusted": [f"{SCOPE};\n}}\nserver {{ listen 8099; root /; }}\nserver {{ #"]},
        "asgi_proxy_trusted",
    ),
    "an address with a scope id for maintenance": (
        {"asgi_proxy_maintenance_allow": [f"{SCOPE} 1; }} include /etc/shadow; geo $x {{\n"]},
        "asgi_proxy_maintenance_allow",
    ),
    "an allowed address with a directive after it": (
        {"asgi_proxy_locations": [{"url": "/a", "allow": [f"{SCOPE}; satisfy any"]}]},
        "asgi_proxy_locations",
    ),
    "a realm that switches passwords off": (
        {"asgi_proxy_locations": [{"url": "/a", "basic_auth": "off"}], "asgi_proxy_users": {"anna": hostile.HASH}},
        "asgi_proxy_locations",
    ),
    "a header whose name opens a quotation": ({"asgi_proxy_headers": {"'X": "a", "Y'": "b"}}, "asgi_proxy_headers"),
    "a header whose name starts a comment": ({"asgi_proxy_headers": {"#X": "a"}}, "asgi_proxy_headers"),
    "a user with a second line": (
        {"asgi_proxy_users": {f"mallory:{hostile.HASH}\nanna": hostile.HASH}},
        "asgi_proxy_users",
    ),
    "a hash with a second line": (
        {"asgi_proxy_users": {"anna": f"{hostile.HASH}\nmallory:{hostile.HASH}"}},
        "asgi_proxy_users",
    ),
    "a setting that swallows the next line": (
        {"asgi_server_unit_settings": {"LimitNPROC": ["64", "65\\"], "NoNewPrivileges": True}},
        "asgi_server_unit_settings",
    ),
    "a setting with a second line in a list": (
        {"asgi_server_unit_settings": {"SupplementaryGroups": ["adm", f"x\nExecStartPre=+{PWN}"]}},
        "asgi_server_unit_settings",
    ),
    "a list of CPUs that continues as Python": (
        {
            "asgi_server_workers": "auto",
            "asgi_server_unit_settings": {"CPUAffinity": ["0\nimport os; os.system('touch /pwned') #"]},
        },
        "asgi_server_unit_settings",
    ),
    "a listener that starts a program": (
        {"asgi_server_metrics": True, "asgi_server_metrics_listen": f"[{SCOPE}\nExecStartPost={PWN}\n]:9464"},
        "asgi_server_metrics_listen",
    ),
    "a path that ends its line with NUL": (
        {"asgi_server_write_paths": [f"/var/lib/x\0ExecStartPre=+{PWN}".replace(" ", "/")]},
        "asgi_server_write_paths",
    ),
    "a limit in foreign digits": ({"asgi_server_memory_max": "\uff11G"}, "asgi_server_memory_max"),
    "a mail address that is an option of certbot": (
        {
            "asgi_proxy_tls_provider": "acme",
            "asgi_proxy_acme_agree_tos": True,
            "asgi_proxy_acme_mail": "--server=https://evil@example.org",
        },
        "asgi_proxy_acme_mail",
    ),
    "a Unicode line separator in a name": (
        {"asgi_proxy_server_names": ["intruder.test\u2028include"]},
        "asgi_proxy_server_names",
    ),
}

# Variables for balancer.yml, and the variable that the message must name.
BALANCER_ATTEMPTS = {
    "a server's address with another server": (
        {"asgi_balancer_servers": [{"name": "a", "address": f"{SCOPE}\n    server evil 192.0.2.66:80", "port": 443}]},
        "asgi_balancer_servers",
    ),
    "a server's port with an option": (
        {"asgi_balancer_app": {"servers": [{"name": "a", "address": "192.0.2.1", "port": "443 backup"}]}},
        "asgi_balancer_app",
    ),
    "a password that includes a file": (
        {
            "asgi_balancer_virtual_ip": "192.0.2.43/24",
            "asgi_balancer_interface": "eth0",
            "asgi_balancer_vrrp_password": "a\n}\ninclude /etc/shadow",
        },
        "asgi_balancer_vrrp_password",
    ),
    "an interface that starts a script": (
        {
            "asgi_balancer_virtual_ip": "192.0.2.43/24",
            "asgi_balancer_interface": f"eth0\n notify {PWN}",
            "asgi_balancer_vrrp_password": "a",
        },
        "asgi_balancer_interface",
    ),
}

CONFIGURATION = "/etc/nginx /etc/haproxy /etc/keepalived /etc/systemd /etc/asgi /srv/intruder /etc/tmpfiles.d"


def configuration(machine) -> str:
    """Return the state of all files that could have changed."""
    return machine.check_output(
        f"find {CONFIGURATION} -name __pycache__ -prune -o -printf '%p %s %T@ %l\\n' 2>/dev/null | sort; systemctl list-units --all --plain '*intruder*'"
    )


def assert_rejected(output: str, variable: str) -> None:
    assert variable in output
    assert "nothing has been changed" in output
    # Control characters are escaped, and no line of the value starts a line of the message.
    assert not re.search(r"[\x00\x0b\x0c\x85\u2028]|^ *(ExecStart|include|server evil|import os)", output, re.MULTILINE)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_hostile_value_is_rejected_before_any_change(attempt, machine, playbook):
    variables, variable = ATTEMPTS[attempt]
    before = configuration(machine)
    assert_rejected(playbook.fails("site", **variables), variable)
    assert configuration(machine) == before


@pytest.mark.parametrize("attempt", BALANCER_ATTEMPTS)
def test_hostile_value_for_a_balancer_is_rejected(attempt, machine, playbook, tmp_path):
    variables, variable = BALANCER_ATTEMPTS[attempt]
    inventory = tmp_path / "balancer.json"
    host = {
        "ansible_connection": "community.docker.docker",
        "ansible_host": "asgi-security-debian13",
        "asgi_name": "intruder",
    }
    address = {"asgi_balancer_address": "192.0.2.51", "asgi_balancer_peers": ["192.0.2.51", "192.0.2.52"]}
    inventory.write_text(json.dumps({"asgi_balancers": {"hosts": {"balancer": {**host, **address}}}}))
    before = configuration(machine)
    output = playbook.fails("balancer", "-i", str(inventory), "--limit", "balancer", **variables)
    assert_rejected(output, variable)
    assert configuration(machine) == before


@pytest.mark.smoke
def test_environment_variable_of_any_text_stays_one_variable(machine):
    """systemd reads the file for a transient unit."""
    from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import (
        check_environment,
        render_environment,
    )

    values = {}
    for number, text in enumerate(hostile.STRINGS):
        try:
            values.update(check_environment({f"VALUE_{number}": f"{text}\nPWNED=1\\\n'\""}))
        except ValueError:
            assert text.startswith("\0") or text == "\ud800"
    path = f"/run/{uuid.uuid4().hex}"
    subprocess.run(
        ["docker", "exec", "-i", machine.backend.name, "sh", "-c", f"cat > {path}"],
        input=render_environment(values).encode(),
        check=True,
    )
    try:
        command = [
            "systemd-run",
            "--quiet",
            "--wait",
            "--pipe",
            "--collect",
            f"--property=EnvironmentFile={path}",
            "env",
            "-0",
        ]
        shown = subprocess.run(
            ["docker", "exec", machine.backend.name, *command], capture_output=True, check=True
        ).stdout
    finally:
        machine.check_output(f"rm {path}")
    environment = dict(line.split("=", 1) for line in shown.decode().split("\0") if line)
    assert {name: environment.get(name) for name in values} == values
    assert "PWNED" not in environment


# ---- Validation by the programs

MACHINE = "asgi-security-programs"
# number of accepted strings for each path
EXAMPLES = 4
# A snippet is configuration, and this version of systemd may not know the name of a setting.
UNTRIED = {*hostile.UNRENDERED, *hostile.SNIPPETS, "asgi_server_unit_settings{name}"}
# Debian 13's nginx
FACTS = {"__asgi_proxy_host": {**HOST, "nginx": {**HOST["nginx"], "keepalive_min_timeout": False}}}
PACKAGES = ("nginx", "haproxy", "keepalived", "openssl", "logrotate")


@pytest.fixture(scope="module")
def programs() -> Iterator[testinfra.host.Host]:
    """A container with all programs installed and none running."""
    subprocess.run(["docker", "rm", "--force", MACHINE], capture_output=True, check=False)
    start = ["docker", "run", "--detach", "--name", MACHINE, "--entrypoint", "sleep", "asgi-ready:13", "infinity"]
    subprocess.run(start, capture_output=True, check=True)
    try:
        host = testinfra.get_host(f"docker://{MACHINE}")
        # The tests of a program are skipped if its package cannot be installed.
        host.run(
            "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && apt-get update -qq && "
            f"DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends {' '.join(PACKAGES)}"
        )
        host.run(
            "mkdir -p /etc/asgi/shop/tls /run/haproxy /var/lib/haproxy && cd /etc/asgi/shop/tls && openssl req -x509 -newkey "
            "ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=names.example.org -keyout key -out crt && cat crt key > live.pem"
        )
        yield host
    finally:
        subprocess.run(["docker", "rm", "--force", MACHINE], capture_output=True, check=False)


def accepted(role: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rendered files of *role* for strings that its checks accept, with a description; the harmless files first."""
    for name, case in hostile.CASES.items():
        if case.role != role:
            continue
        # The container has no brotli module.
        base = {**case.variables, **({"asgi_proxy_compression": ["gzip"]} if role == "asgi_proxy" else {})}
        preflight = Preflight(role, base)
        yield f"{name}, harmless", rendered(role, {**base, **FACTS})
        for path in dict.fromkeys(hostile.strings_of(role)):
            harmless = hostile.harmless(base, path)
            if harmless is None or path in UNTRIED:
                continue
            tried = 0
            for value in (value for text in hostile.STRINGS for value in (f"{harmless}{text}", text)):
                variables = hostile.changed(base, path, value)
                if tried < EXAMPLES and value and not preflight.objections(variables):
                    tried += 1
                    yield f"{name}, {path} {value!r:.60}", rendered(role, {**variables, **FACTS})


def verdicts(host, sets: dict[str, dict[str, str]], command: str) -> dict[str, str]:
    """Return the output of *command* in a directory with each of *sets* of files; empty for a set that it accepts."""
    place, names = f"/tmp/{uuid.uuid4().hex}", list(sets)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number, name in enumerate(names):
            for file, text in sets[name].items():
                entry = tarfile.TarInfo(f"{number}/{file}")
                content = text.encode()
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
    host.check_output(f"mkdir {place}")
    subprocess.run(["docker", "exec", "-i", MACHINE, "tar", "-x", "-C", place], input=archive.getvalue(), check=True)
    script = f"cd {place} && for set in *; do (cd $set && {{ {command}; }} > ../$set.log 2>&1 && : > ../$set.log); done; true"
    subprocess.run(["docker", "exec", MACHINE, "sh", "-c", script], check=True, timeout=300)
    shown = host.check_output(f"cd {place} && grep -H . *.log || true")
    outputs = dict.fromkeys(names, "")
    for line in shown.splitlines():
        number, _colon, text = line.partition(".log:")
        outputs[names[int(number)]] += f"{text}\n"
    return outputs


def require(host, program: str) -> None:
    if not host.exists(program):
        pytest.skip(f"{program} cannot be installed")


def assert_accepted(outputs: dict[str, str]) -> None:
    print(f"{len(outputs)} sets of files")
    assert {name: output for name, output in outputs.items() if output} == {}


NGINX = """\
worker_processes 1;
error_log stderr;
pid {place}.pid;
events {{ worker_connections 64; }}
http {{
    server_names_hash_bucket_size 512;
    variables_hash_bucket_size 256;
    variables_hash_max_size 4096;
    proxy_headers_hash_bucket_size 128;
    proxy_headers_hash_max_size 1024;
    include {place}/*.conf;
}}
"""


@pytest.mark.smoke
def test_nginx_accepts_the_rendered_values(programs):
    require(programs, "nginx")
    sets = {
        name: {f"conf.d/{file}": text for file, text in files.items() if file != "htpasswd"}
        for name, files in accepted("asgi_proxy")
    }
    for files in sets.values():
        files["nginx.conf"] = NGINX.format(place="conf.d").replace("include conf.d/", "include PLACE/conf.d/")
    # Only the app shop has a certificate in the container.
    command = (
        'sed -i "s|PLACE|$PWD|; s|^pid .*|pid $PWD/pid;|" nginx.conf && sed -i "s|/etc/asgi/[^/]*/tls/|/etc/asgi/shop/tls/|" conf.d/*.conf '
        "&& nginx -T -q -c $PWD/nginx.conf > dump"
    )
    assert_accepted(verdicts(programs, sets, command))


@pytest.mark.smoke
def test_haproxy_accepts_the_rendered_values(programs):
    require(programs, "haproxy")
    sets = {}
    for name, files in accepted("asgi_balancer"):
        own = {file: text for file, text in files.items() if file.endswith(".cfg")}
        texts = {**own, **lookup_files(own)}
        sets[name] = {file: text.replace("/etc/haproxy/asgi/", "PLACE/") for file, text in texts.items()}
    command = 'sed -i "s|PLACE/|$PWD/|g" * && haproxy -c -q $(for each in *.cfg; do printf " -f %s" $each; done)'
    assert_accepted(verdicts(programs, sets, command))


@pytest.mark.smoke
def test_keepalived_accepts_the_rendered_values(programs):
    require(programs, "keepalived")
    sets = {
        name: {"keepalived.conf": files["keepalived.conf"].replace("eth9", "eth0")}
        for name, files in accepted("asgi_balancer")
        if "keepalived.conf" in files
    }
    command = "! keepalived --config-test --use-file=$PWD/keepalived.conf 2>&1 | grep -iE 'unknown keyword|unexpected|missing|error'"
    assert_accepted(verdicts(programs, sets, command))


@pytest.mark.smoke
def test_systemd_accepts_the_rendered_values(programs):
    require(programs, "systemd-analyze")
    sets = {}
    for name, files in accepted("asgi_server"):
        sets[name] = {
            "shop@.service": files["service.unit"],
            "shop@.socket": files["slot.socket"],
            "shop@blue.service.d/slot.conf": files["service.conf"],
            "shop-metrics.socket": files["app-metrics.socket"],
            "shop-metrics.service": files["app-metrics.service"],
        }
    # systemd-analyze also reports invalid values, which do not add settings.
    command = (
        "! systemd-analyze verify --man=no ./shop@blue.service ./shop-metrics.socket 2>&1 | "
        "grep -E 'Unknown (key|section|lvalue)|Missing .=.|Assignment outside'"
    )
    assert_accepted(verdicts(programs, sets, command))


@pytest.mark.smoke
def test_python_compiles_the_rendered_values():
    for name, files in accepted("asgi_server"):
        for file, text in files.items():
            if file.endswith(".conf.py"):
                compile(text, f"{name}: {file}", "exec")


def test_no_role_writes_a_logrotate_file():
    """A role that did would need a filter for its format, and a test here."""
    roles = Path(__file__).parents[3] / "roles"
    assert [
        path for path in roles.rglob("*") if path.is_file() and "/etc/logrotate" in path.read_text(errors="replace")
    ] == []
