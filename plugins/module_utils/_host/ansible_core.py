# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between the supported versions of ansible-core, on the controller and, for modules, on hosts.

ansible-core 2.19 changed templates and errors. All code that depends on the version uses the names below.
"""

from __future__ import annotations

from ansible.module_utils.ansible_release import __version__

_VERSION = tuple(map(int, __version__.split(".")[:2]))

# Strings are templates only if they are marked as trusted. Earlier versions treat every string in YAML as a template.
MARKS_TEMPLATES = _VERSION >= (2, 19)
# Templates keep the type of their result. Earlier versions return numbers as strings and null as an empty string; with jinja2_native, they
# parse strings such as '1_0' as Python literals instead.
KEEPS_TYPES = _VERSION >= (2, 19)
# The error block of a failed task prints an exception as text. Earlier versions print only how to show the traceback.
PRINTS_EXCEPTIONS = _VERSION >= (2, 19)
