"""The module release reports conflicts with other apps before it changes the host."""

from __future__ import annotations

from types import SimpleNamespace

from ansible_collections.asgi.deploy.plugins.modules import release as module


def test_all_clashes_are_reported_at_once(monkeypatch):
    monkeypatch.setattr(module, "clashes", lambda name, claims, _run: [f"{name} {claims['a']} -> b", "c -> d"])
    messages = []
    fake = SimpleNamespace(
        params={"name": "hello", "claims": {"a": 1}},
        run_command=None,
        fail_json=lambda **result: messages.append(result["msg"]),
    )
    module._refuse_clashes(fake)
    assert messages == ["2 clashes on this host; nothing has been changed [host-clash]:\n  hello 1 -> b\n  c -> d"]
