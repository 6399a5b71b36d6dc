#!/bin/sh
# venv.sh: create or update .venv from requirements-dev.txt. Does nothing if it is up to date.
# PYTHON=/path/to/python selects the interpreter; by default, the first suitable one is used.
set -eu
cd "$(dirname "$0")/.."

# ansible-core 2.19 supports these versions. On Debian, `venv` is a separate package.
suitable() {
    "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        # The executable itself, because the wrapper of a version manager could select another one later.
        if suitable "$candidate"; then "$candidate" -c 'import sys; print(sys.executable)'; return; fi
    done
    echo "No Python 3.11, 3.12 or 3.13 with its venv module ${PYTHON:+at $PYTHON }found." >&2
    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13)" >&2
    echo "or select one: make PYTHON=/path/to/python3.12 ..." >&2
    return 1
}

expected=$(cksum <requirements-dev.txt)
if [ "$(cat .venv/.requirements 2>/dev/null)" = "$expected" ]; then exit 0; fi

if [ ! -x .venv/bin/python ] || ! suitable .venv/bin/python; then
    python=$(find_python)
    echo "==> creating .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "==> installing requirements-dev.txt into .venv (a minute or two, once)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
echo "$expected" >.venv/.requirements
