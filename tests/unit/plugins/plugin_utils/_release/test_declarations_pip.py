"""With an accepted requirements file, pip's own parser reads no files outside the tree and trusts no other servers."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import Refused, read_declarations
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pip._internal.exceptions import PipError
from pip._internal.req import req_file

ROOT = Path("/tree")
# Names of files in a tree, and fragments of their content.
NAMES = ("requirements.txt", "a.txt", "sub/b.txt")
PIECES = (
    *(
        "-r ",
        "-r",
        "--requirement=",
        "--requ ",
        "-c ",
        "--constraint ",
        "-e ",
        "--editable=",
        "-f ",
        "--find-links=",
        "-i ",
    ),
    *("--index-url ", "--extra-index-url=", "--trusted-host ", "--pre", "--hash=sha256:aa", "--no-index", "-", "--"),
    *(
        "a.txt",
        "sub/b.txt",
        "b.txt",
        "../a.txt",
        "../../x",
        "/etc/shadow",
        "..",
        "/",
        "./",
        "%2e%2e/",
        "~/x",
        "file:///etc/x",
    ),
    *(
        "http://evil.example/x",
        "https://good.example/x",
        "HTTP://evil.example",
        "git+http://evil.example/x",
        "file:",
        "${X}",
    ),
    *("six", "six==1", "six @ ", "[x]", ";", " ; os_name == 'posix'", "#", " # ", "@", "=", '"', "'", "\\", "\\\n"),
    *(
        " ",
        "\t",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\ufeff",
        "# coding: utf-7\n",
        "+AC0-r x",
    ),
)
TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def pip_on(files: dict[str, str]) -> tuple[list[str], list]:
    """Return the files that pip's parser opens, and the lines that the parser yields until its end or a failure."""
    opened, lines = [], []

    def content(url, _session):
        opened.append(url)
        inside = Path(url).is_relative_to(ROOT) and str(Path(url).relative_to(ROOT))
        return url, req_file.auto_decode(files.get(inside or "", "").encode())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(req_file, "get_file_content", content)
        try:
            parser = req_file.RequirementsFileParser(None, req_file.get_line_parser(None))
            for line in parser.parse(str(ROOT / NAMES[0]), False):
                lines.append(line)
                if len(opened) > 50:  # the files include each other
                    break
        except (PipError, ValueError, RecursionError, UnicodeError):
            pass
    return opened, lines


def archive(tmp_path: Path, files: dict[str, str]) -> str:
    path = tmp_path / "source.tar"
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    logging.getLogger("pip").setLevel(logging.CRITICAL)
    return tmp_path_factory.mktemp("archives")


@settings(max_examples=600, deadline=None)
@given(texts=st.tuples(TEXT, TEXT, TEXT))
@example(texts=("six # \\\n-r /etc/shadow", "", ""))
@example(texts=("-r sub/b.txt", "", "-r ../../x"))
@example(texts=("six\x85-r /etc/shadow", "", ""))
@example(texts=("--trusted-host evil.example\nsix", "", ""))
def test_pip_reads_no_more_than_was_checked(place, texts):
    files = dict(zip(NAMES, texts, strict=True))
    try:
        declared = read_declarations(archive(place, files), {"by": "requirements"})
    except Refused:
        return
    opened, lines = pip_on(files)
    for name in opened:
        inside = Path(name.replace("%2e", "."))
        depth = 0
        for part in inside.relative_to(ROOT).parts:
            depth += -1 if part == ".." else 1
            assert depth >= 0, f"{name} is opened"
    for line in lines:
        options = line.opts
        addresses = [
            *(options.find_links or []),
            *(options.extra_index_urls or []),
            *([options.index_url] if options.index_url else []),
            *(options.editables or []),
        ]
        for address in addresses:
            scheme = urlsplit(address).scheme.rpartition("+")[2]
            assert scheme in ("", "file", "https", "ssh") or declared.insecure, address
            # Accepted paths are relative; file: without a path is the tree itself.
            path = address.removeprefix("file:")
            assert not path.startswith(("/", "~")), address
            assert path.split("/")[0] != "..", address
        assert not options.trusted_hosts or declared.insecure
        if line.is_requirement and " @ http:" in (line.requirement or "").lower():
            assert declared.insecure
