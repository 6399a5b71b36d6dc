# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module maintenance_page writes and removes the page, with a deploy marker for each change."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import app_module
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.modules import maintenance_page as module
from ansible_core import patch_module_args


@pytest.fixture
def switch(tmp_path, monkeypatch, capsys, journald):
    """Return a function that runs the module for an app whose files are in *tmp_path*, and returns its result."""
    page, site = tmp_path / "shop/maintenance.html", tmp_path / "site.conf"
    site.write_text(f"alias {page};")
    paths = {"maintenance_page": str(page), "nginx_site": str(site)}
    monkeypatch.setattr(app_module, "layout", lambda name: {**layout(name), **paths})
    journald.setblocking(False)

    def run(state, content=None, **params):
        with (
            patch_module_args({"name": "shop", "state": state, "content": content, **params}),
            pytest.raises(SystemExit),
        ):
            module.main()
        return json.loads(capsys.readouterr().out)

    run.page, run.site = page, site
    return run


def test_the_page_is_written_and_removed_once(switch, journald):
    changes = [switch("present", "<p>a</p>"), switch("present", "<p>a</p>"), switch("present", "<p>b</p>", by="anna")]
    assert [change["changed"] for change in changes] == [True, False, True]
    assert switch.page.read_text() == "<p>b</p>"
    assert switch.page.stat().st_mode & 0o777 == 0o644
    assert changes[2]["diff"]["before"] == "<p>a</p>"

    assert [switch("absent")["changed"] for _time in range(2)] == [True, False]
    assert not switch.page.exists()
    entries = [journald.recv(10_000) for _change in range(3)]
    assert json.dumps(changes[2]["marker"]).encode() in entries[1]
    assert [b'"reason": "off"' in entry for entry in entries] == [False, False, True]
    with pytest.raises(BlockingIOError):
        journald.recv(1)


def test_nginx_can_read_the_page(switch):
    switch("present", "<p>a</p>")
    switch.page.parent.chmod(0o700)
    switch.page.chmod(0o600)

    assert switch("present", "<p>a</p>")["changed"]
    assert [path.stat().st_mode & 0o777 for path in (switch.page.parent, switch.page)] == [0o755, 0o644]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_changes_nothing(switch, journald, state):
    if state == "absent":
        switch("present", "<p>a</p>")
        journald.recv(10_000)
    before = switch.page.exists()

    assert switch(state, "<p>b</p>", _ansible_check_mode=True)["changed"]
    assert switch.page.exists() is before
    with pytest.raises(BlockingIOError):
        journald.recv(1)


@pytest.mark.parametrize("text", ["server {}", None], ids=["an older version", "no site"])
def test_a_site_without_support_is_an_error(switch, text):
    switch.site.unlink() if text is None else switch.site.write_text(text)

    result = switch("present", "<p>a</p>")

    assert result["failed"]
    assert result["msg"].endswith("nothing has been changed -> run asgi.deploy.site first")
    assert "marker" not in result
    assert not switch.page.exists()
