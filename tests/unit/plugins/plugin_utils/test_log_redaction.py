"""Secrets in a query, and what the row of maps leaves of it: as nginx does it, with Python's expressions in its place."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import parse_qsl, quote

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils.log_redaction import LIMIT, LONGEST, STEPS, expressions
from hypothesis import given
from hypothesis import strategies as st

DEFAULTS = yaml.safe_load((Path(__file__).parents[4] / "roles/asgi_proxy/defaults/main.yml").read_text())
NAMES = DEFAULTS["asgi_proxy_log_redact"]
SECRET = "HUSH"


def compiled(key):
    """What nginx makes of a key: its own escapes, then a regular expression that ignores case."""
    source = re.sub(r"\\(.)", r"\1", key.removeprefix('"~*').removesuffix('"'))
    return re.compile(source.replace("(?<asgi_", "(?P<asgi_"), re.IGNORECASE)


def logged(target, names=NAMES):
    """What the maps of templates/etc/nginx/conf.d/site/log.conf.j2 come to."""
    found = expressions(names)
    if not compiled(found.any).search(target):
        return target
    for _step in range(STEPS):
        match = compiled(found.first).search(target)
        target = f"{match['asgi_before']}***{match['asgi_after']}" if match else target
    match = compiled(found.rest).search(target)
    return f"{match['asgi_path']}?***" if match else target


# what a client asks for, and what the log has of it; the same table goes through nginx in molecule/edge
TABLE = json.loads((Path(__file__).parents[4] / "molecule/edge/log_redaction.json").read_text())


@pytest.mark.parametrize(("target", "expected"), TABLE.items())
def test_the_table(target, expected):
    assert logged(target) == expected


def test_the_table_is_of_use():
    assert len(TABLE) >= 30
    assert all(SECRET not in expected for expected in TABLE.values())
    assert sum(SECRET in target for target in TABLE) >= 25


def spelled(name):
    """The ways to write the name of a parameter that an app reads as *name*."""
    characters = [st.sampled_from([each, each.upper(), f"%{ord(each):02X}", f"%{ord(each):02x}"]) for each in name]
    return st.tuples(*characters).map("".join)


values = st.text("abc;=?#/%[]().*", max_size=8).map(lambda text: f"{quote(text, safe=';=?/#[]().*')}")
harmless = st.sampled_from(["page=2", "q=x", "sort", "tokens=3", "keyword=a", "filter%5Bname%5D=y", "=", ""])
secret_value = st.tuples(values, values).map(lambda around: f"{around[0]}{SECRET}{around[1]}")
secrets = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.sampled_from(["{}", "user[{}]", "user%5B{}%5D", "{}[]", "user.{}", "a[b][{}]"]), spelled(name), secret_value
    ).map(lambda parts: f"{parts[0].format(parts[1])}={parts[2]}")
)


@given(st.lists(st.one_of(harmless, secrets), max_size=8), st.sampled_from("?#;"))
def test_no_secret_is_left(parameters, separator):
    assert SECRET not in logged(f"/a/path{separator}{'&'.join(parameters)}")


@given(st.lists(harmless, max_size=6))
def test_what_is_no_secret_stays(parameters):
    target = f"/a/path?{'&'.join(parameters)}"
    assert logged(target) == target


@given(st.lists(st.one_of(harmless, secrets), max_size=STEPS))
def test_what_stands_beside_few_secrets_stays(parameters):
    left = logged(f"/a/path?{'&'.join(parameters)}").partition("?")[2]
    beside = [parameter for parameter in parameters if SECRET not in parameter]
    assert [each for each in parse_qsl(left, keep_blank_values=True) if each[1] != "***"] == parse_qsl(
        "&".join(beside), keep_blank_values=True
    )


@pytest.mark.parametrize("name", ["{}[token]", "token[{}]", "a[{}][token][b]", "{}%74oken", "%74oken[{}]", "{}"])
@pytest.mark.parametrize("length", [LONGEST - 20, LONGEST, LONGEST + 1, 4000])
def test_a_long_name_hides_nothing(name, length):
    target = f"/?a=1&{name.format('x' * length)}=HUSH&b=2"

    assert (SECRET in logged(target)) == (name == "{}" and length <= LONGEST)
    assert logged(target).startswith("/?a=1&") and logged(target).endswith("&b=2")


@pytest.mark.parametrize("part", ["%74", "token[", "token.", "%5Btoken%5D"])
def test_the_time_does_not_grow_with_the_square_of_a_name(part):
    """With five times what nginx takes, so that the square would be 25 times what it costs there: several seconds."""
    began = time.process_time()
    logged(f"/?{part * (40_000 // len(part))}")
    assert time.process_time() - began < 1


def test_no_names():
    assert logged("/?token=HUSH", []) == "/?token=HUSH"
    assert logged("/?%74oken=HUSH", []) == "/?%74oken=***"


@pytest.mark.parametrize("names", [["a b"], [""], ["a|b"], ['"'], ["$x"], ["x" * 65], ["%41"]])
def test_what_is_no_name(names):
    with pytest.raises(ValueError, match="not the name of a query parameter"):
        expressions(names)


def test_the_longest_list_fits_into_a_word_of_nginx():
    names = [f"{number:0>24}" for number in range(LIMIT // 25)]
    assert max(map(len, expressions(names))) < 4000
    with pytest.raises(ValueError, match="2000 characters"):
        expressions([*names, "a" * 60])
