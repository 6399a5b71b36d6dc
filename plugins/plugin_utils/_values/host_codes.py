# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of errors that modules report from hosts. Like the codes in codes.py, they are public and never change their meaning.

module_utils uses these codes; a test verifies that the two agree.
"""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.codes import Code, parse

SECTIONS = parse("""
# Build a release
host-clash: Another app or program of the host has the name, the path or the port of the app. -> see the message, which names the other one
app-name-taken: The account with the name of the app does not belong to the app. -> choose another asgi_name
account-missing: An account of the app does not exist. -> run site.yml or deploy.yml, which create it
python-not-usable: The Python in asgi_app_python does not exist on the host, does not run, or can be modified by other accounts. -> install
    it, or set a version such as '3.13'
python-does-not-match: The app does not accept the host's Python, and no other one can be installed. -> set asgi_app_installer to uv, or
    asgi_app_python to a Python on the host
python-not-installed: uv cannot install the CPython that the app needs. -> set asgi_app_python_mirror, or asgi_app_python to a Python on the
    host
uv-not-installed: uv cannot be installed on the host, or does not run there. -> check the index, or set asgi_app_uv_binary
packages-not-installed: The installer failed. -> see its output below the message
requirements-conflict: The requirements of the app conflict with each other. -> change the versions that the output names
release-unsafe: The build created a hard link, a special file, or a symlink out of the release. -> find the package that creates it
build-failed: Another step of the build failed. -> see the message
not-an-application: asgi_module is not an application. -> set asgi_module as the message suggests
import-failed: The application cannot be imported with the account, the environment and the sandbox of the app. -> see the traceback below
    the message
import-timeout: The import of the application timed out. -> move slow work into the lifespan of the application

# Activate a release
app-not-started: systemd could not start the slot, or its start took too long. -> see the journal below the message
app-not-healthy: The health check of the slot failed. -> see the journal below the message, and asgi_server_probe_path
process-not-started: A process or a timer of the app did not start, or is not ready. -> see the journal below the message, and
    asgi_server_processes
site-not-answering: The site did not answer from the new slot, so the traffic was switched back to the previous release. -> see the message
unit-settings-invalid: systemd cannot parse the settings of the slot. -> correct asgi_server_unit_settings
unit-masked: A unit of the app is masked. -> systemctl unmask UNIT
release-not-found: The release to roll back to is not on the host. -> choose one of the releases in the message
release-log-damaged: The release log cannot be read. -> run deploy.yml, which starts a new log
app-locked: Another run changes the app, or the same files. -> wait for that run, which the message names
path-obstructed: A file or directory occupies the path of a symlink that this collection needs. -> move it away
metrics-endpoint-unusable: The metrics cannot be served at asgi_server_metrics_listen. -> choose another address

# Publish the site or the balancer
nginx-config-rejected: nginx rejects the new configuration. -> correct the variable or the snippet that the message quotes
nginx-not-reloaded: nginx did not load the new configuration, so the previous one was restored. -> see the message and nginx's error log
haproxy-config-rejected: HAProxy rejects the new configuration. -> correct the variable that the message quotes
haproxy-not-reloaded: HAProxy did not load the new configuration, so the previous one was restored. -> see the message and HAProxy's journal
server-name-taken: Another site of the host has this server name. -> choose another name, or remove that site
port-held: Another program uses the port. -> stop that program, or choose another port
port-settings-differ: Other sites on the port have a different value for a setting that all of them share. -> set the same value, or use
    another port
directory-not-servable: nginx cannot be given access to a directory below shared. -> see the message
""")
CODES: dict[str, Code] = {code: entry for codes in SECTIONS.values() for code, entry in codes.items()}
