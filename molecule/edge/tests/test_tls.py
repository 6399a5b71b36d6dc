"""What a client gets before its first request, and what it is told about later ones."""

from __future__ import annotations


def test_the_certificate_is_trusted_and_the_app_answers(hello):
    assert hello.ask("/health").status == 200


def test_browsers_are_told_to_stay_with_https(hello):
    assert hello.ask("/health").headers["Strict-Transport-Security"].startswith("max-age=31536000")
