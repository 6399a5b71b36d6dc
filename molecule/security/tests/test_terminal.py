"""Escape sequences in exceptions, output and names of an app never reach the operator's terminal."""

from __future__ import annotations

import unicodedata

import pytest

# Clear the screen, write to the clipboard, rewrite the line, C1 CSI, direction override, zero-width space.
HOSTILE = r"\x1b[2J\x1b]52;c;Y3VybA==\x07\rok\x08\x7f\x9b31m\u202e\u200b\x85"
ESCAPED = r"\x1b[2J\x1b]52;c;Y3VybA==\x07"

LIFESPAN = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        {started}
        await receive()
    await send({{"type": "http.response.start", "status": 500, "headers": [(b"x-note", "{hostile}".encode())]}})
    await send({{"type": "http.response.body", "body": "{hostile}".encode()}})
"""
STARTED = 'await send({"type": "lifespan.startup.complete"})'
FAILED = f'await send({{"type": "lifespan.startup.failed", "message": "{HOSTILE}"}})'

# Files of the release, and whether the output must contain the escaped text.
ATTEMPTS = {
    "an exception at import": ({"hostile.py": f'raise ImportError("{HOSTILE}")'}, True),
    "an exception with notes and a cause": (
        {
            "hostile.py": f"""
                try:
                    raise KeyError("{HOSTILE}")
                except KeyError as exc:
                    error = RuntimeError("{HOSTILE}")
                    error.__notes__ = ["{HOSTILE}"]
                    raise error from exc
                """
        },
        True,
    ),
    "a name of an exception": ({"hostile.py": f'raise type("{HOSTILE}", (Exception,), {{}})()'}, True),
    "a name of a file": ({"hostile.py": f'exec(compile("1/0", "{HOSTILE}", "exec"))'}, True),
    "output at import": (
        {
            "hostile.py": f'import os, sys\nprint("{HOSTILE}")\nprint("{HOSTILE}", file=sys.stderr, flush=True)\nsys.exit("{HOSTILE}")'
        },
        True,
    ),
    "bytes that are not UTF-8": (
        {"hostile.py": 'import os\nos.write(2, b"\\x1b[2J\\x9b\\xff\\n")\nraise ImportError("no")'},
        False,
    ),
    "an exception at boot": (
        {"main.py": LIFESPAN.format(started=f'raise RuntimeError("{HOSTILE}")', hostile=HOSTILE)},
        True,
    ),
    "a failed startup": ({"main.py": LIFESPAN.format(started=FAILED, hostile=HOSTILE)}, False),
    "an unhealthy answer": ({"main.py": LIFESPAN.format(started=STARTED, hostile=HOSTILE)}, False),
    "a worker that is killed after some output": (
        {
            "main.py": LIFESPAN.format(
                started=f'print("{HOSTILE}", flush=True); import os; os.kill(os.getpid(), 9)', hostile=HOSTILE
            )
        },
        False,
    ),
}


def control_characters(text):
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_output_of_a_failed_release_is_escaped(intruder, playbook, source, attempt):
    files, expected = ATTEMPTS[attempt]
    before = intruder.release

    output = playbook.fails("deploy", "-vv", security_source=str(source(files)), asgi_server_probe_deadline=5)

    assert intruder.release == before
    assert control_characters(output) == set()
    assert ESCAPED.replace("\\", "\\\\") in output or ESCAPED in output or not expected


@pytest.mark.parametrize("name", ["status", "doctor"])
def test_reports_are_escaped(intruder, playbook, name):
    """The app controls its journal, process names and responses to the site check."""
    intruder.run(f'import sys; print("{HOSTILE}"); print("{HOSTILE}", file=sys.stderr, flush=True)')
    _status, output = playbook(name)
    assert control_characters(output) == set()


def test_output_of_a_release_command_is_escaped(intruder, playbook, source):
    """A hook runs a program of the release, and Ansible prints its output."""
    hook = source({}).parent / "hook.yml"
    hook.write_text(
        """
- name: Migrate
  asgi.deploy.release_command:
    name: "{{ asgi_name }}"
    release: "{{ asgi_release.id }}"
    argv: [python, -c, 'import sys; print(chr(27) + "[2J" + chr(0x9b)); sys.exit(chr(27) + "]52;c;x" + chr(7) + chr(0x202e))']
"""
    )
    output = playbook.fails("deploy", security_source=str(source({})), asgi_app_hook_staged=str(hook))
    assert control_characters(output) == set()
    assert r"\x1b]52;c;x\x07\u202e" in output


def test_lines_in_the_journal_cannot_be_forged(machine, intruder):
    """Text of a client is one line of printable JSON in the journal."""
    forged = 'forged\\n{"level": "info", "message": "forged too"}\\r\\x1b[2J\\x9b31m\\u202e'
    intruder.run(f"import logging; logging.getLogger('app').error({forged!r}.encode().decode('unicode_escape'))")
    machine.check_output("journalctl --sync")
    lines = machine.check_output(f"journalctl --unit={intruder.service} --output=cat --lines=50").splitlines()
    matching = [line for line in lines if "forged" in line]
    assert len(matching) == 1, matching
    assert control_characters(matching[0]) == set()
