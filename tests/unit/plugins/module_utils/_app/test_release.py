"""Ids, retention and error messages of releases."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import (
    ID_PATTERN,
    Kept,
    cause,
    describe_release,
    last_lines,
    mask_urls,
    needed_by_log,
    place_of,
    release_id,
    safe_label,
    same_python,
    to_prune,
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


def test_the_id_is_the_same_in_every_run_and_version_of_python():
    # A change of RECIPE changes this id, so that all apps are built again. Change it only on purpose.
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
def test_each_input_changes_the_id(change):
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


RELEASES = [Kept("a", "2026-01-01"), Kept("b", "2026-01-02"), Kept("c", "2026-01-03"), Kept("incomplete", None)]


@pytest.mark.parametrize(
    ("keep", "protected", "removed"),
    [
        (5, [], ["incomplete"]),
        (3, [], ["incomplete"]),
        (2, [], ["a", "incomplete"]),
        (1, [], ["a", "b", "incomplete"]),
        (0, [], ["a", "b", "incomplete"]),
        (1, ["a"], ["b", "incomplete"]),
        (1, ["a", "b", "gone"], ["incomplete"]),
        (1, ["incomplete"], ["a", "b"]),
    ],
)
def test_old_and_incomplete_releases_are_pruned(keep, protected, removed):
    assert to_prune(RELEASES, keep, protected) == removed


def test_releases_of_the_same_second_are_sorted_by_id():
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
        # A failed release is not a rollback target.
        (["r1/c/retired", "r2/c/live", "r3/c/bad"], {"r1", "r2"}),
        (["r1/c/retired", "r2/c/bad", "r3/c/live"], {"r1", "r3"}),
        # The last activation of a release counts.
        (["r1/c/retired", "r2/c/live", "r1/c/bad"], {"r2"}),
        # After a rollback, the live release is not the newest.
        (["r1/c/retired", "r2/c/retired", "r1/c/live"], {"r1", "r2"}),
        # The live release was also the previous one, with another configuration; the release before it is needed too.
        (["r0/c/retired", "r1/c/retired", "r1/d/live"], {"r0", "r1"}),
        (["r1/c/retired", "r1/d/bad", "r2/c/live"], {"r1", "r2"}),
    ],
)
def test_the_live_release_and_the_targets_of_a_rollback_are_needed(log, needed):
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
def test_credentials_in_urls_are_masked_or_removed(text, masked):
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
def test_the_cause_of_a_failed_installer_names_a_variable(output, variable):
    assert variable in cause(output)
    assert bool(cause(output)) == bool(variable)


def test_the_last_lines_are_not_empty():
    assert last_lines("a\n\nb  \n\n  c\n\n", 2) == "b\n  c"


def test_a_diff_has_a_line_for_each_item():
    facts = {"release": "r1", "requirements": [], "server_requirements": ["gunicorn"]}
    assert describe_release(facts) == "release: r1\nrequirements: []\nserver_requirements:\n  - gunicorn\n"


ID = "src-0123456789"


@pytest.mark.parametrize(
    ("complete", "used", "place"),
    [
        ([], [], ID),
        ([ID], [], ID),
        ([ID], [ID], ID),
        ([], ["old-0000000000"], ID),
        # A damaged release in use is built again under another name, which later runs find.
        ([], [ID], f"{ID}.2"),
        ([f"{ID}.2"], [ID], f"{ID}.2"),
        ([f"{ID}.2"], [ID, f"{ID}.2"], f"{ID}.2"),
        ([], [ID, f"{ID}.2"], f"{ID}.3"),
        ([f"{ID}.10"], [ID], f"{ID}.10"),
        ([f"{ID}.9", f"{ID}.10", ID], [], f"{ID}.10"),
        # A damaged release that is no longer in use is replaced.
        ([], [f"{ID}.2"], ID),
        # Similar names belong to other releases.
        ([f"{ID}0", f"x{ID}", f"{ID}.02", f"{ID}.x"], [], ID),
    ],
)
def test_a_release_in_use_is_not_replaced(complete, used, place):
    assert place_of(ID, complete, used) == place


@given(
    complete=st.sets(st.integers(1, 6)),
    used=st.sets(st.integers(1, 6)),
)
def test_the_place_is_complete_or_unused_and_stable(complete, used):
    def name(number):
        return ID if number == 1 else f"{ID}.{number}"

    complete, used = {name(n) for n in complete}, {name(n) for n in used}
    place = place_of(ID, complete, used)
    assert place in complete or place not in used
    assert ID_PATTERN.fullmatch(place)
    assert place_of(ID, complete | {place}, used | {place}) == place


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
def test_packages_require_their_version_of_python(recorded, found, same):
    assert same_python(recorded, found) is same
