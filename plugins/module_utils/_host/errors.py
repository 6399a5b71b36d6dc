# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of errors whose message a module reports unchanged."""

from __future__ import annotations


class Reported(Exception):
    """An error with a message for the operator: the fault, the place and the remedy."""
