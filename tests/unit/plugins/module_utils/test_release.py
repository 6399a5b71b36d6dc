"""The id of a release, what may be removed, and what an error message says."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.release import (
    ID_PATTERN,
    Kept,
    cause,
    describe_release,
    last_lines,
    mask_urls,
    needed_by_log,
    release_id,
    safe_label,
    same_python,
    to_prune,
    where_to_be,
    without_credentials,
)
from hypothesis import given
from hypothesis import strategies as st

INPUT = {
    "label": "1.4.0",
    "source_digest": "ab" * 32,
    "python": "python3",
    "installer": "uv",
    "module": "hello.main:app",
    "requirements": ["six"],
    "server_requirements": ["gunicorn", "uvicorn"],
}


def test_the_same_input_gives_the_same_id_in_every_run_and_release_of_python():
    # a changed recipe changes it too: every app is built anew then, so this must be on purpose
    assert release_id(**INPUT) == "1.4.0-1a51a10e2f"


@pytest.mark.parametrize(
    "change",
    [
        {"label": "1.4.1"},
        {"source_digest": "cd" * 32},
        {"python": "python3.12"},
        {"installer": "pip"},
        {"module": "hello.main:other"},
        {"requirements": []},
        {"wheels": "ef" * 32},
        {"server_requirements": ["gunicorn>=27", "uvicorn"]},
        {"requirements": ["six", "gunicorn"], "server_requirements": ["uvicorn"]},
    ],
    ids=str,
)
def test_other_input_gives_another_id(change):
    assert release_id(**{**INPUT, **change}) != release_id(**INPUT)


def test_the_order_of_requirements_does_not_matter():
    assert release_id(**{**INPUT, "server_requirements": ["uvicorn", "gunicorn"]}) == release_id(**INPUT)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("1.4.0", "1.4.0"),
        ("1.0+local-1", "1.0_local_1"),
        ("1!2.0", "1_2.0"),
        ("../../etc", "etc"),
        ("", "src"),
        ("..", "src"),
        ("a b", "a_b"),
        ("x" * 50, "x" * 40),
    ],
)
def test_a_label_is_safe_in_a_path(text, label):
    assert safe_label(text) == label


@given(st.text())
def test_any_label_gives_an_id_that_names_one_directory(text):
    assert ID_PATTERN.fullmatch(release_id(**{**INPUT, "label": text}))


RELEASES = [Kept("a", "2026-01-01"), Kept("b", "2026-01-02"), Kept("c", "2026-01-03"), Kept("half", None)]


@pytest.mark.parametrize(
    ("keep", "protected", "removed"),
    [
        (5, [], ["half"]),
        (3, [], ["half"]),
        (2, [], ["a", "half"]),
        (1, [], ["a", "b", "half"]),
        (0, [], ["a", "b", "half"]),
        (1, ["a"], ["b", "half"]),
        (1, ["a", "b", "gone"], ["half"]),
        (1, ["half"], ["a", "b"]),
    ],
)
def test_prune(keep, protected, removed):
    assert to_prune(RELEASES, keep, protected) == removed


def test_what_was_built_in_the_same_second_has_an_order():
    assert to_prune([Kept("b", "x"), Kept("a", "x")], 1, []) == ["a"]


def entry(text):
    release, config, result = text.split("/")
    return {"release": release, "config": config, "slot": "blue", "at": "", "by": "", "result": result}


@pytest.mark.parametrize(
    ("log", "needed"),
    [
        ([], set()),
        (["r1/c/live"], {"r1"}),
        (["r1/c/retired", "r2/c/live"], {"r1", "r2"}),
        (["r1/c/retired", "r2/c/retired", "r3/c/live"], {"r2", "r3"}),
        # a failed attempt is nothing to go back to
        (["r1/c/retired", "r2/c/live", "r3/c/bad"], {"r1", "r2"}),
        (["r1/c/retired", "r2/c/bad", "r3/c/live"], {"r1", "r3"}),
        # as good as its last activation
        (["r1/c/retired", "r2/c/live", "r1/c/bad"], {"r2"}),
        # rolled back: the live one is not the last that was built
        (["r1/c/retired", "r2/c/retired", "r1/c/live"], {"r1", "r2"}),
        # one release, two configurations: what came before it stays too
        (["r0/c/retired", "r1/c/retired", "r1/d/live"], {"r0", "r1"}),
        (["r1/c/retired", "r1/d/bad", "r2/c/live"], {"r1", "r2"}),
    ],
)
def test_a_rollback_always_has_somewhere_to_go(log, needed):
    assert needed_by_log([entry(text) for text in log]) == needed


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:secret@index.example/simple", "https://********@index.example/simple"),
        (
            "see https://token@a.example and ssh://git@b.example",
            "see https://********@a.example and ssh://********@b.example",
        ),
        ("https://user:p@ss@a.example/x", "https://********@a.example/x"),
        ("'https://user:it's@a.example/x'", "'https://********@a.example/x'"),
        ("https://index.example/a@b", "https://index.example/a@b"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_urls_lose_their_credentials(text, masked):
    assert mask_urls(text) == masked
    assert without_credentials(text) == masked.replace("********@", "")


@pytest.mark.parametrize(
    ("output", "variable"),
    [
        ("cause: invalid peer certificate: UnknownIssuer", "asgi_app_ca_bundle"),
        ("SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')", "asgi_app_ca_bundle"),
        ("error sending request for url: dns error", "asgi_app_index_url"),
        ("NewConnectionError: [Errno -3] Temporary failure in name resolution", "asgi_app_index_url"),
        ("HTTP status client error (401 Unauthorized) for url", "asgi_app_index_url"),
        ("error: command 'gcc' failed: No such file or directory", "asgi_app_packages"),
        ("Error: pg_config executable not found.", "asgi_app_packages"),
        ("ERROR: Package 'x' requires a different Python: 3.9.2 not in '>=3.11'", "asgi_app_python"),
        ("the current Python version (3.11.2) does not satisfy Python>=3.13", "asgi_app_python"),
        ("Because you require a==1 and a==2, your requirements are unsatisfiable", ""),
        ("Downloading x-4013-py3-none-any.whl", ""),
    ],
)
def test_an_installer_s_failure_points_at_a_variable(output, variable):
    assert variable in cause(output)
    assert bool(cause(output)) == bool(variable)


def test_the_last_lines_are_those_that_say_something():
    assert last_lines("a\n\nb  \n\n  c\n\n", 2) == "b\n  c"


def test_a_diff_has_a_line_for_each_thing():
    facts = {"release": "r1", "requirements": [], "server_requirements": ["gunicorn"]}
    assert describe_release(facts) == "release: r1\nrequirements: []\nserver_requirements:\n  - gunicorn\n"


ID = "src-0123456789"


@pytest.mark.parametrize(
    ("whole", "used", "place"),
    [
        ([], [], ID),
        ([ID], [], ID),
        ([ID], [ID], ID),
        ([], ["old-0000000000"], ID),
        # damaged, and something runs from it: beside it, and there it stays
        ([], [ID], f"{ID}.2"),
        ([f"{ID}.2"], [ID], f"{ID}.2"),
        ([f"{ID}.2"], [ID, f"{ID}.2"], f"{ID}.2"),
        ([], [ID, f"{ID}.2"], f"{ID}.3"),
        ([f"{ID}.10"], [ID], f"{ID}.10"),
        ([f"{ID}.9", f"{ID}.10", ID], [], f"{ID}.10"),
        # damaged, but nothing runs from it any more
        ([], [f"{ID}.2"], ID),
        # others
        ([f"{ID}0", f"x{ID}", f"{ID}.02", f"{ID}.x"], [], ID),
    ],
)
def test_what_runs_is_not_built_over(whole, used, place):
    assert where_to_be(ID, whole, used) == place


@given(
    whole=st.sets(st.integers(1, 6)),
    used=st.sets(st.integers(1, 6)),
)
def test_a_place_is_whole_or_unused_and_the_next_run_finds_it(whole, used):
    def name(number):
        return ID if number == 1 else f"{ID}.{number}"

    whole, used = {name(n) for n in whole}, {name(n) for n in used}
    place = where_to_be(ID, whole, used)
    assert place in whole or place not in used
    assert ID_PATTERN.fullmatch(place)
    assert where_to_be(ID, whole | {place}, used | {place}) == place


@pytest.mark.parametrize(
    ("recorded", "found", "same"),
    [
        ("3.11.2", "3.11", True),
        ("3.11.2", "3.13", False),
        ("3.1.4", "3.11", False),
        ("3.11.2", "", False),
        (None, "3.11", False),
        (None, "", False),
    ],
)
def test_packages_are_for_one_version_of_python(recorded, found, same):
    assert same_python(recorded, found) is same
