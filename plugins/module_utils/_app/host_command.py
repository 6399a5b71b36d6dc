# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install and remove the host command: the program of each app, and the files that all apps share."""

from __future__ import annotations

import os
import shutil

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    is_ours,
    read_text,
    remove,
    replace_file,
    sha256_of,
    writing,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import APPS, PROGRAMS, UNITS
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import PYTHON

HEADER = "# Managed by the Ansible collection asgi.deploy; changes are overwritten.\n"

# sudo can allow an account to use this program for one app. Names with a slash could lead to other files.
DISPATCHER_TEXT = f"""#!/bin/sh
{HEADER}
programs={PROGRAMS}
case ${{1-}} in
"" | -h | --help)
    echo "usage: asgi APP COMMAND ...   (asgi APP --help lists the commands)"
    echo "apps on this host:"
    for program in "$programs"/*.pyz; do
        [ -e "$program" ] && basename "$program" .pyz | sed "s/^/  /"
    done
    exit 0
    ;;
*[!a-z0-9_-]*) ;;
*) [ -e "$programs/$1.pyz" ] && exec {PYTHON} -I "$programs/$1.pyz" "$@" ;;
esac
echo "asgi: there is no app $1 on this host; 'asgi' lists the apps" >&2
exit 2
"""

# Names of files in a release can contain any characters, which the shell would interpret.
COMPLETION_TEXT = f"""{HEADER}
_asgi_processes() {{
    local unit
    for unit in "{UNITS}/$1."*@*.service; do
        unit=${{unit##*/"$1".}}
        [[ $unit =~ ^[a-z0-9_-]+ ]] && echo "${{BASH_REMATCH[0]}}"
    done | sort -u
}}

_asgi() {{
    local app=${{COMP_WORDS[1]-}} words=() word
    if ((COMP_CWORD == 1)); then
        words=({PROGRAMS}/*.pyz)
        words=("${{words[@]##*/}}")
        words=("${{words[@]%.pyz}}")
    elif ((COMP_CWORD == 2)); then
        words=(status releases logs run shell env restart)
    elif [[ ${{COMP_WORDS[COMP_CWORD - 1]}} == --release ]]; then
        words=("{APPS}/$app/releases/"*)
    else
        case ${{COMP_WORDS[2]}} in
        run) words=(--release "{APPS}/$app/current/.venv/bin/"*) ;;
        shell) words=(--release) ;;
        logs) words=(--follow --lines --since web $(_asgi_processes "$app")) ;;
        env) words=(--names) ;;
        restart) words=(web $(_asgi_processes "$app")) ;;
        esac
    fi
    COMPREPLY=()
    for word in "${{words[@]##*/}}"; do
        if [[ $word == "${{COMP_WORDS[COMP_CWORD]}}"* && $word =~ ^[A-Za-z0-9._-]+$ ]]; then
            COMPREPLY+=("$word")
        fi
    done
}}
complete -F _asgi asgi
"""

PROGRAM_MODE = 0o644
# text and mode of the files that all apps of a host share
SHARED = {"dispatcher": (DISPATCHER_TEXT, 0o755), "completion": (COMPLETION_TEXT, 0o644)}


def is_current(paths: dict, digest: str) -> bool:
    """Return whether the program of the app with the layout *paths* has the SHA-256 *digest*, and the shared files are those of this version."""
    program = paths["command"]["program"]
    return (
        not any(_differs(paths["command"][name], text, mode) for name, (text, mode) in SHARED.items())
        and is_ours(program, PROGRAM_MODE)
        and sha256_of(program) == digest
    )


def install(paths: dict, file: str) -> None:
    """Install *file* as the program of the app with the layout *paths*, and the shared files."""
    program = paths["command"]["program"]
    os.makedirs(os.path.dirname(program), mode=0o755, exist_ok=True)
    temporary = f"{program}.{os.getpid()}.new"
    try:
        with writing(program):
            shutil.copyfile(file, temporary)
        os.chmod(temporary, PROGRAM_MODE)
        os.replace(temporary, program)
    finally:
        remove(temporary)
    for name, (text, mode) in SHARED.items():
        if _differs(paths["command"][name], text, mode):
            replace_file(paths["command"][name], text, mode)


def installed_files(paths: dict) -> list[str]:
    """Return the files to remove together with the app that has the layout *paths*, including the shared ones of the last app."""
    command = paths["command"]
    programs = os.path.dirname(command["program"])
    found = os.listdir(programs) if os.path.isdir(programs) else []
    others = [name for name in found if name.endswith(".pyz") and name != os.path.basename(command["program"])]
    shared = [] if others else [command["dispatcher"], command["completion"], programs]
    return [path for path in (command["program"], *shared) if os.path.lexists(path)]


def _differs(path: str, text: str, mode: int) -> bool:
    return read_text(path, errors="replace") != text or not is_ours(path, mode)
