"""systemd reads the original values from an EnvironmentFile, and no output contains the values."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import (
    SERVER_VARIABLES,
    app_environment,
    check_environment,
    describe_environment,
    hide,
    parse_environment,
    render_environment,
    server_warnings,
    without_withheld,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from hypothesis import given
from hypothesis import strategies as st

ROLE = Path(__file__).parents[5] / "roles/asgi_server"


def read_as_systemd_does(text):
    """Parse double-quoted values as systemd's parse_env_file_internal() does."""
    found, rest = {}, text
    while rest:
        name, rest = rest.split('="', 1)
        body = re.match(r'(?:[^"\\]|\\.)*', rest, re.DOTALL).group(0)
        found[name] = re.sub(r'\\(["\\`$])', r"\1", body)
        rest = rest[len(body) + 2 :]  # skip the closing quote and the line feed
    return found


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("plain", 'A="plain"\n'),
        ("with space # and ; these", 'A="with space # and ; these"\n'),
        ('a "quoted" $word `x` \\', 'A="a \\"quoted\\" \\$word \\`x\\` \\\\"\n'),
        ("two\nlines", 'A="two\nlines"\n'),
        ("", 'A=""\n'),
    ],
)
def test_rendered_values(value, rendered):
    assert render_environment({"A": value}) == rendered


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_every_environment_survives_the_file(environment):
    text = render_environment(environment)

    assert read_as_systemd_does(text) == environment
    assert parse_environment(text) == environment


def test_scalars_become_strings():
    assert check_environment({"N": 1, "F": 0.5, "YES": True, "S": "x"}) == {
        "N": "1",
        "F": "0.5",
        "YES": "true",
        "S": "x",
    }


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"A B": "x"}, "not a name"),
        ({"1A": "x"}, "not a name"),
        ({"A=B": "x"}, "not a name"),
        ({"A": ["x"]}, "is a list"),
        ({"A": {}}, "is a dictionary"),
        ({"A": None}, "is a null"),
        ({"A": b"x"}, "is a binary value"),
        ({"A": datetime.date(2026, 1, 1)}, "A is a YAML date, not a string: quote the value"),
        ({"A": datetime.datetime(2026, 1, 1, 10)}, "quote the value"),
        ({"A": "x\0y"}, "NUL"),
    ],
)
def test_invalid_environments_are_rejected(environment, message):
    with pytest.raises(ValueError, match=message):
        check_environment(environment)


def test_a_diff_names_variables_and_hides_values():
    before = {"KEPT": "same", "TOKEN": "old-secret", "GONE": "x"}

    shown = describe_environment({"KEPT": "same", "TOKEN": "new-secret", "FRESH": "x"}, before)

    assert shown.splitlines() == ["FRESH (hidden, new)", "KEPT (hidden)", "TOKEN (hidden, changed)"]


def test_the_users_environment_wins():
    environment = app_environment(layout("hello"), {"HOME": "/elsewhere", "A": "x"})

    assert (environment["ASGI_SHARED"], environment["HOME"], environment["A"]) == (
        "/srv/hello/shared",
        "/elsewhere",
        "x",
    )


def test_the_home_is_kept_and_the_cache_is_not():
    environment = app_environment(layout("hello"), {})

    assert (environment["HOME"], environment["XDG_CACHE_HOME"]) == ("/srv/hello/shared", "/srv/hello/cache")


def test_hide_masks_secrets_but_no_short_values():
    environment = {"TOKEN": "s3cret-value", "DEBUG": "true", "WORKERS": "1"}

    assert hide("RuntimeError: s3cret-value is true, 1 time", environment) == "RuntimeError: ******** is true, 1 time"


@pytest.mark.parametrize(
    ("name", "value", "passed", "warning"),
    [
        ("GUNICORN_CMD_ARGS", "--workers=5", False, "is not passed on to the app: use the variables asgi_server_*"),
        ("GUNICORN_PID", "1", False, "is not passed on"),
        ("GUNICORN_WORKERS", "5", True, "has no effect on the server: use the variables asgi_server_*"),
        ("UVICORN_PORT", "80", True, "has no effect on the server"),
        ("WEB_CONCURRENCY", "7", True, "has no effect on the server: use asgi_server_workers"),
        ("WEB_CONCURRENCY", "auto", False, "is not passed on to the app: use asgi_server_workers"),
        ("FORWARDED_ALLOW_IPS", "*", True, "use asgi_server_forwarded_allow_ips"),
        ("PORT", "8000", True, "has no effect on the server"),
        ("NOTIFY_SOCKET", "/run/n", False, "systemd sets it"),
        ("LISTEN_FDS", "1", False, "systemd sets it"),
        ("WATCHDOG_USEC", "1", False, "use asgi_server_watchdog"),
        ("PYTHONHOME", "/usr/local", False, "use asgi_app_python"),
        # variables that are passed on to the app
        ("PYTHONPATH", "src", True, ""),
        ("PYTHONOPTIMIZE", "1", True, ""),
        ("HOST", "::", True, ""),
        ("MY_GUNICORN_CMD_ARGS", "x", True, ""),
        ("web_concurrency", "x", True, ""),
    ],
)
def test_server_variables_are_withheld_with_a_warning(name, value, passed, warning):
    given = {name: value}

    assert without_withheld(given) == (given if passed else {})
    assert (name in app_environment(layout("hello"), given)) is passed
    warnings = server_warnings("asgi_env", given)
    assert len(warnings) == bool(warning)
    assert all(each.startswith(f"asgi_env: {name} ") and warning in each for each in warnings)


def test_unit_unsets_server_variables():
    """UnsetEnvironment= must not list variables that systemd sets, because the server needs them."""
    unit = (ROLE / "templates/etc/systemd/system/app@.service.j2").read_text(encoding="utf-8")
    [names] = re.findall(r"^UnsetEnvironment=(.*)$", unit, re.MULTILINE)
    passed = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

    assert (
        set(names.split())
        == {each.pattern for each in SERVER_VARIABLES if each.withheld and not each.pattern.startswith("ASGI_")}
        - passed
    )
