"""Static files: caching, compression, path traversal, and the files of the previous release."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"

# spellings of ".." and "/", and known path traversal attacks
TRAVERSALS = [
    "../main.py",
    "..%2fmain.py",
    "%2e%2e/main.py",
    "%2e%2e%2fmain.py",
    "%2E%2E%2Fmain.py",
    "%252e%252e%252fmain.py",
    "..%5cmain.py",
    "..\\main.py",
    "%c0%ae%c0%ae/main.py",
    "..%c0%afmain.py",
    "%uff0e%uff0e/main.py",
    "..;/main.py",
    "....//main.py",
    ".%00./main.py",
    "below/../../main.py",
    "below/%2e%2e/%2e%2e/main.py",
    "./../main.py",
    ".//..//main.py",
    "..%0a/main.py",
    "%0a../main.py",
    "../../../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "../../../config/env",
    "..%2f..%2f..%2fconfig%2fenv",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "page.js/../../main.py",
    "page.js%00.css",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_path_traversal_is_rejected(features, path):
    answer = features.ask(f"/files/{path}")
    assert b"small ASGI application" not in answer.body
    assert b"root:" not in answer.body
    # A path that nginx normalizes to "/main.py" belongs to the app, which returns the path.
    assert answer.status in (400, 403, 404) or answer.json()["path"]


@pytest.mark.parametrize("start", ["/files..", "/files../", "/files%2e%2e/", "/files/..", "/files%2f..%2f..%2f"])
def test_prefix_of_the_location_allows_no_path_traversal(features, start):
    answer = features.ask(f"{start}/main.py")
    assert b"small ASGI application" not in answer.body
    assert answer.status in (400, 403, 404) or answer.json()["path"]


@pytest.mark.parametrize("path", [".hidden", "%2ehidden", "below//.hidden", "/.hidden"])
def test_hidden_files_are_not_served(features, path):
    assert features.ask(f"/files/{path}").status == 404


def test_directories_are_not_listed(features):
    assert [features.ask(f"/files/{path}").status for path in ("", "below/", "below/page.txt")] == [403, 403, 200]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("page.js", "public, max-age=3600"), ("page.4f0c1d2a9b.js", "public, max-age=31536000, immutable")],
)
def test_cache_control_and_revalidation(features, name, expected):
    answer = features.ask(f"/files/{name}")
    assert answer.headers["Cache-Control"] == expected
    again = features.ask(f"/files/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("path", "accepted", "encoding"),
    [
        ("/files/page.js", "gzip", "gzip"),
        ("/files/page.js", "gzip, br", "br"),
        ("/files/page.js", "identity", None),
        ("/files/below/page.txt", "gzip", None),  # too small for compression
        ("/text", "gzip", "gzip"),
        ("/text", "br", "br"),
    ],
)
def test_compression(features, path, accepted, encoding):
    answer = features.ask(path, headers={"Accept-Encoding": accepted})
    assert answer.headers["Content-Encoding"] == encoding
    assert len(answer.body) < 1500 if encoding else answer.status == 200


def test_precompressed_file_is_sent(features):
    answer = features.ask("/files/before.css", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(answer.body) == b"/* compressed beforehand */\n"
    assert features.ask("/files/before.css").body == b"/* as it is */\n"


def test_answers_of_the_app_are_not_compressed_by_default(hello):
    answer = hello.ask("/openapi.json", headers={"Accept-Encoding": "gzip, br"})
    assert len(answer.body) > 1000
    assert answer.headers["Content-Encoding"] is None
    assert hello.ask("/static/hello.css", headers={"Accept-Encoding": "gzip"}).status == 200


def test_files_of_the_previous_release_are_served_after_a_deploy(features, playbook, tmp_path):
    def deploy():
        source = {"path": str(tmp_path / "app")}
        options = {"asgi_app_source": source, "asgi_server_probe_deadline": 5}
        return playbook("deploy", "--limit", features.inventory_name, **options)

    def ask(name):
        return features.ask(f"/files/{name}")

    workers, shipped = features.workers(), ask("page.js").body
    files = shutil.copytree(APP, tmp_path / "app") / "files"
    (files / "page.4f0c1d2a9b.js").rename(files / "page.0123456789.js")
    (files / "page.js").write_text("// of the second release")
    status, output = deploy()
    assert status == 0, output

    assert ask("page.js").text == "// of the second release"
    assert ask("page.0123456789.js").status == 200
    former = ask("page.4f0c1d2a9b.js")
    assert (former.status, former.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    assert former.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    for out in ("../main.py", "..%2fmain.py", "below/../../main.py", ".hidden"):
        assert b"small ASGI application" not in ask(out).body
        assert b"not for visitors" not in ask(out).body

    # A release that fails, with its own files.
    (files / "page.js").write_text("// of a release that was refused")
    (tmp_path / "app/main.py").write_text("async def app(scope, receive, send):\n    raise RuntimeError('not today')\n")
    status, output = deploy()
    assert status != 0, output
    assert ask("page.js").text == "// of the second release"
    assert ask("page.0123456789.js").status == 200

    # Deploy the release of the inventory again.
    playbook.succeeds("deploy", "--limit", features.inventory_name)
    assert ask("page.js").body == shipped
    # Now the previous release is in the other slot.
    assert ask("page.0123456789.js").status == 200
    assert features.workers() == workers
