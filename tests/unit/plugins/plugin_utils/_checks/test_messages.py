# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the shortest message for each code with messages.txt. The other tests in this directory supply the values."""

from __future__ import annotations

import importlib.util
import os
from itertools import chain
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.codes import CODES
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem
from golden import compare_messages

HERE = Path(__file__).parent
# Messages that need an index or another host, or quote git, uv or Python. test_claims.py and the tests of _fleet and _release check them.
ELSEWHERE = {
    "git-fetch-failed",
    "machine-app-duplicate",
    "machine-path-duplicate",
    "machine-path-overlap",
    "machine-port-duplicate",
    "machine-port-settings-differ",
    "machine-server-name-duplicate",
    "archive-download-failed",
    "archive-unsafe",
    "git-lfs-failed",
    "git-not-installed",
    "git-ref-not-found",
    "git-submodule-failed",
    "git-timeout",
    "project-file-invalid",
    "python-does-not-fit",
    "python-download-failed",
    "router-id-differs",
    "router-id-duplicate",
    "requirement-outside-source",
    "requirements-unresolvable",
    "lock-not-exported",
    "lock-outdated",
    "editable-wheelhouse",
    "source-unreadable",
    "uv-hash-mismatch",
    "virtual-ip-differs",
    "virtual-ip-taken",
    "wheel-hash-mismatch",
    "wheel-missing",
    "wheelhouse-platform-unsupported",
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(test):
    """Return the parameter values with which *test* runs."""
    [mark] = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return mark.args[1]


def of_proxy(directory):
    module = load("test_asgi_proxy")
    for option, value, _code in rows(module.test_invalid_values_are_rejected):
        yield module.problems(**{option: value})
    for options, *_expected in rows(module.test_contradictory_values_are_rejected):
        yield module.problems(**options)
    (directory / "cert").write_text("cert")
    (directory / "key").write_text("$ANSIBLE_VAULT;1.1;AES256\n00")
    for options, *_expected in rows(module.test_certificate_files_that_cannot_be_used_are_rejected):
        yield module.provided(directory, **options)
    (directory / "key").write_text("key")
    (directory / "key").chmod(0o604)
    yield module.provided(directory, **module.FILES)
    (directory / "page.html").write_bytes(b"\xff")
    yield module.problems(asgi_proxy_maintenance_page=directory / "page.html")
    yield module.problems(asgi_server_probe_path="/a/../up", asgi_server_keepalive=2)
    yield module.problems(asgi_proxy_trusted=["::1"], asgi_proxy_trusted_headers=["Host"])
    off = {"url": "/a", "basic_auth": "off"}
    yield module.problems(asgi_proxy_users=module.USERS, asgi_proxy_locations=[off, {**off, "basic_auth": "$"}])


def of_certificate(directory):
    module = load("test_certificate")
    for certificate, key, names, *_expected in rows(module.test_certificates_and_keys_are_checked):
        for fault in module.certificates.faults(certificate, key, names, module.NOW):
            yield [Problem(fault.code, f"asgi_proxy_tls_{fault.part}", fault.fault, fault.remedy)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.certificates, "BROKEN_HASHES", ("sha256",))
        [fault] = module.certificates.faults(module.LEAF, module.pem(module.KEY), ["a.test"], module.NOW)
        patch.setattr(module.certificates, "x509", None)
        for each in (fault, *module.certificates.faults(b"", b"", [], module.NOW)):
            yield [Problem(each.code, "asgi_proxy_tls_certificate", each.fault)]


def of_balancer(directory):
    module = load("test_asgi_balancer")
    for test, common in (
        (module.test_invalid_values_are_rejected, {}),
        (module.test_invalid_virtual_addresses_are_rejected, module.SHARED),
        (module.test_invalid_acme_variables_are_rejected, module.ACME),
    ):
        for option, value, _code in rows(test):
            yield module.problems(**{**common, option: value})
    for variable, value, _code in rows(module.test_hosts_that_do_not_work_with_a_balancer_are_rejected):
        yield module.problems(**module.options_of({"web1": {**module.HOST, variable: value}}))
    yield module.problems(asgi_balancer_virtual_ip="192.0.2.10/24")
    yield module.problems(**module.options_of({"web1": {**module.HOST, "asgi_proxy_trusted": ["10.0.0.8"]}}))
    yield module.problems(**module.ACME, asgi_balancer_servers=[{**module.SERVER, "address": "10.0.0.9"}])


def of_acme(directory):
    module = load("test_acme")
    for option, value, *_expected in rows(module.test_invalid_values_are_rejected):
        options = {f"asgi_proxy_acme_{name}": given for name, given in {**module.GOOD, option: value}.items()}
        context = Context(options=options, find=lambda path: directory / path)
        yield module.acme_problems(context, "asgi_proxy", ["asgi_proxy_acme_names"])
    options = {f"asgi_proxy_acme_{name}": given for name, given in {**module.GOOD, "eab_kid": "["}.items()}
    yield module.acme_problems(Context(options=options, find=Path), "asgi_proxy", [])


def of_server(directory):
    module = load("test_asgi_server")
    changes = [{name: value} for name, value, _code in rows(module.test_invalid_values_are_rejected)]
    changes += [
        options for options, *_expected in rows(module.test_settings_that_a_server_does_not_support_are_rejected)
    ]
    changes += [{"asgi_server_workers_min": 4, "asgi_server_workers_max": 3}]
    changes += [{"asgi_server_unit_settings": {"Environment": "A=b"}}]
    changes += [{"asgi_server_metrics_allow": ["192.0.2.7"]}]
    changes += [{"asgi_env": {"PROMETHEUS_MULTIPROC_DIR": "/tmp"}, "asgi_server_metrics": True}]
    for change in changes:
        options = {**module.GOOD, "asgi_name": "hello", **change}
        yield module.problems(Context(options=options, find=Path))
    module = load("test_processes")
    for options, *_expected in rows(module.test_invalid_processes):
        yield module.found({"worker": {**module.GOOD, **options}})
    for schedule, _code in rows(module.test_invalid_schedules):
        yield module.found(timers={"cleanup": {**module.TIMER, "schedule": schedule}})
    yield module.found({"Worker": module.GOOD})
    yield module.found({"cleanup": module.GOOD}, {"cleanup": module.TIMER})


SOURCES = {
    "empty": {},
    "incomplete": {"main.py": "", "logo.svg": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"},
    "invalid": {"pyproject.toml": "["},
    "locked": {"pyproject.toml": "[project]\n", "uv.lock": ""},
    "lock-only": {"uv.lock": ""},
    "option": {"requirements.txt": "--index-url"},
    "plain-http": {"requirements.txt": "--index-url http://index.example/simple"},
    "undeclared": {"main.py": ""},
    "two-locks": {"pyproject.toml": "", "poetry.lock": "", "uv.lock": ""},
    "named-lock": {"requirements.txt": "", "pylock.web.toml": ""},
    "link": {"main.py": "", "evil": None},
    "pipe": {"main.py": "", "pipe": "pipe"},
}


def of_app(directory):
    module = load("test_asgi_app")
    module.prepare(directory)
    for changed, *_expected in rows(module.test_invalid_values_are_rejected):
        yield module.report(directory, **changed)
    for changed, *_expected in rows(module.test_problems_of_a_wheelhouse_are_reported)[1:]:
        yield module.report(directory, asgi_app_wheelhouse=True, **changed)
    for name, files in SOURCES.items():
        (directory / name).mkdir()
        for file, text in files.items():
            if text is None:
                (directory / name / file).symlink_to("/etc/passwd")
            elif text == "pipe":
                os.mkfifo(directory / name / file)
            else:
                (directory / name / file).write_text(text)
        yield module.report(
            directory, asgi_app_source={"path": name}, asgi_app_installer="pip" if name == "locked" else "uv"
        )
    yield module.report(directory, asgi_app_source={"path": "undeclared", "requirements": ["prod.txt"]})
    yield module.report(directory, asgi_app_source={"path": "locked", "requirements": ["pyproject.toml"]})
    yield module.report(directory, asgi_app_source={"path": "app"}, asgi_app_groups=["web"])
    yield module.report(directory, asgi_app_source={"path": "app"}, asgi_app_install_project="true")
    yield module.report(directory, asgi_app_source={"package": "x==1"}, asgi_app_extras=["web"])
    (directory / "app/setup.py").touch()
    (directory / "app/requirements.txt").unlink()
    yield module.report(directory, asgi_app_source={"path": "app"}, asgi_app_install_project="false")
    yield module.report(directory, asgi_app_source={"git": "ext::sh", "ref": "main"})
    yield module.report(directory, asgi_app_requirements=["x @ ../x.whl"])
    yield module.report(directory, asgi_app_requirements=["x @ https://a.example/${TOKEN}/x.whl"])
    yield module.report(directory, asgi_app_uv_version="0.9.9")
    old = {"asgi_app_uv_version": "0.7.22", "asgi_app_uv_hashes": [f"sha256:{'a' * 64}"]}
    yield module.report(directory, asgi_app_wheelhouse=True, **old)
    yield module.report(directory, asgi_app_audit_url="osv", asgi_app_audit_ignore=["-x"])


def of_playbooks(directory):
    module = load("test_playbooks")
    for playbook, name, value, _code in rows(module.test_invalid_values_are_rejected):
        yield module.found(playbook, {**module.NAME, "asgi_maintain_upgrade": True, name: value})
    for playbook, options, _code in rows(module.test_variables_of_a_playbook_are_checked_together):
        yield module.found(playbook, options)
    yield module.found("deploy", {}, first={"asgi_deploy_max_failures": 2})
    yield module.found("tune", {"asgi_tune_html": "tune.html"}, first={"asgi_tune_html": "tune.html"})
    yield module.found("reload", {})
    for name in ("tune", "maintain"):
        module = load(f"test_{name}")
        for variable, value, _code in rows(module.test_invalid_values_are_rejected):
            yield module.CHECKS[variable](variable, value)
    module = load("test_tune")
    yield module.CHECKS["asgi_tune_body"]("asgi_tune_body", "")
    yield module.role_problems(Context(options={"asgi_server_type": "uvicorn"}, find=Path))


def of_all(directory):
    yield load("test_unknown").found("asgi_server_wokers")
    module = load("test_shared")
    for variable, value, _code in rows(module.test_invalid_values_are_rejected):
        yield module.problems(Context(options={"asgi_name": "hello", variable: value}, find=Path))
    module = load("../_values/test_options")
    for name, value in (
        ("asgi_number", None),
        ("asgi_choice", "c"),
        ("asgi_number", "60"),
        ("asgi_source", {"pth": "x"}),
        ("asgi_text", "a\n"),
        ("asgi_any", module.yaml.safe_load("2026-01-01")),
    ):
        yield module.typed(module.SPEC, {name: value})[1]
    yield [Problem("template-failed", "asgi_env", "cannot be templated: 'vault_url' is undefined")]


def test_messages(tmp_path):
    found = {}
    for cases in (of_all, of_app, of_server, of_proxy, of_certificate, of_acme, of_balancer, of_playbooks):
        directory = tmp_path / cases.__name__
        directory.mkdir()
        for problem in chain.from_iterable(cases(directory)):
            if problem.code not in ELSEWHERE:
                found.setdefault(problem.code, []).append(str(problem).replace(str(directory), "/files"))
    assert CODES.keys() - found.keys() == ELSEWHERE
    compare_messages(
        __file__, [min(found[code], key=lambda text: (len(text), text)) for code in CODES if code in found]
    )
