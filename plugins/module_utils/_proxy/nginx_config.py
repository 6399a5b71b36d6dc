# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse nginx's configuration: directives, and servers with their names and ports."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Callable, NamedTuple

_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)

Include = Callable[[str], Iterable[tuple]]


@dataclass
class Directive:
    """One directive in ``text``; ``block`` holds the directives between its braces, or None if it ends with a semicolon.

    ``text[start:end]`` is the whole directive. ``opened`` is the position after its opening brace, or after the semicolon without a block.
    """

    name: str
    arguments: tuple
    text: str
    start: int
    opened: int
    end: int
    block: list | None = None

    @property
    def source(self) -> str:
        """The source text of the directive."""
        return self.text[self.start : self.end]


class Listen(NamedTuple):
    """An address and port on which a server listens; ``*`` stands for all IPv4 addresses, ``[::]`` for all IPv6 addresses."""

    address: str
    port: int
    flags: tuple = ()

    @property
    def ipv6(self) -> bool:
        return self.address.startswith("[")

    @property
    def udp(self) -> bool:
        return "quic" in self.flags


class Server(NamedTuple):
    """One ``server`` block of ``http``, and the file in which it begins."""

    file: str
    names: tuple
    listens: tuple
    block: list

    def values(self, name: str) -> list:
        """Return the arguments of each directive *name* directly in the block."""
        return [each.arguments for each in self.block if each.name == name]

    def nested(self, name: str) -> list:
        """Return the arguments of each directive *name*, at any depth."""
        return [each.arguments for each in walk(self.block) if each.name == name]

    def listens_on(self, port: int) -> bool:
        return any(listen.port == port for listen in self.listens)


def parse(text: str) -> list[Directive]:
    """Return the directives of *text*; raise ValueError on a syntax error."""
    reader = _Reader(text)
    found: list[Directive] = []
    reader.read(found)
    if reader.position < len(text):
        raise ValueError(f"line {reader.line()} closes a block that is not open")
    return found


def parse_leniently(text: str) -> list[Directive]:
    """Return the directives of *text* up to the first syntax error."""
    found: list[Directive] = []
    with contextlib.suppress(ValueError):
        _Reader(text).read(found)
    return found


def servers(text: str, file: str = "", include: Include = lambda _argument: ()) -> list[Server]:
    """Return the servers in *text*, the content of *file*, which contains an ``http`` block or is included in one.

    *include* returns a (name, text) for each file that matches the argument of an ``include`` directive.
    """
    return list(_servers(parse_leniently(text), file, include, in_http=False))


def read_servers(start: str = "/etc/nginx/nginx.conf", without: Iterable[str] = ()) -> list[Server]:
    """Return the servers of this host's nginx, except those in the files *without*; an empty list if nginx is not installed."""
    directory, skipped = os.path.dirname(start), set(without)

    def include(argument: str) -> Iterator[tuple[str, str]]:
        # nginx also reads included files in this order.
        for path in sorted(glob.glob(os.path.join(directory, argument))):
            if path not in skipped and (text := _text(path)) is not None:
                yield path, text

    text = _text(start)
    return servers(text, start, include) if text is not None else []


def dumped_files(output: str) -> dict[str, str]:
    """Return the texts of the files that nginx reads, by path, from the output of ``nginx -T``."""
    parts = _FILE.split(output)
    return dict(zip(parts[1::2], parts[2::2]))


def spellings(name: str) -> set[str]:
    """Return the server names for which the argument *name* of ``server_name`` stands; ``.example.org`` stands for two names."""
    name = name.lower()
    return {name[1:], f"*{name}"} if name.startswith(".") else {name}


def parse_listen(arguments: tuple) -> Listen | None:
    """Return the address and port of a ``listen`` directive with *arguments*; None for a unix socket or unknown syntax."""
    where = arguments[0] if arguments else ""
    match = re.fullmatch(r"(?:(\[[^\]]*\]|[^:\[\]]*):)?(\d+)|(\[[^\]]*\]|(?![\d-]+$)[^:\[\]/]+)", where)
    if not match or where.startswith("unix:"):
        return None
    address, port = (match[1] or "*", match[2]) if match[2] else (match[3], "80")
    return Listen({"0.0.0.0": "*"}.get(address, address), int(port), tuple(arguments[1:]))


def _servers(directives: list[Directive], file: str, include: Include, in_http: bool) -> Iterator[Server]:
    for each, source_file in _included(directives, file, include, (file,)):
        if each.block is None:
            continue
        if each.name == "server":
            yield _server(
                source_file, [own for own, _file in _included(each.block, source_file, include, (source_file,))]
            )
        elif each.name == "http" and not in_http:
            yield from _servers(each.block, source_file, include, in_http=True)


def _server(file: str, block: list[Directive]) -> Server:
    names = tuple(name for own in block if own.name == "server_name" for name in own.arguments)
    listens = [parse_listen(own.arguments) for own in block if own.name == "listen"]
    # Without a listen directive, nginx listens on port 80.
    return Server(file, names, tuple(filter(None, listens)) if listens else (Listen("*", 80),), block)


def _included(
    directives: list[Directive], file: str, include: Include, within: tuple
) -> Iterator[tuple[Directive, str]]:
    """Yield each of *directives* with its file, and replace each ``include`` with the directives of the included files."""
    for each in directives:
        if each.name == "include" and len(each.arguments) == 1:
            for name, text in include(each.arguments[0]):
                if name not in within:
                    yield from _included(parse_leniently(text), name, include, (*within, name))
        else:
            yield each, file


def walk(directives: list[Directive]) -> Iterator[Directive]:
    for each in directives:
        yield each
        yield from walk(each.block or [])


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


class _Reader:
    """Split a configuration into tokens as nginx does in ngx_conf_read_token()."""

    # nginx's white space. Python's \s matches more characters, so comments and words would end too early.
    _SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
    _WORD = re.compile(r"(?:\\.|\$\{|[^ \t\r\n;{\\])+", re.DOTALL)
    _QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)""", re.DOTALL)
    _LUA = re.compile(
        r"""(?:--\[\[.*?\]\]|--[^\n]*|\[\[.*?\]\]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^{}"'])*""", re.DOTALL
    )

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def read(self, found: list[Directive]) -> None:
        """Add directives to *found* up to the end of the text or a closing brace, which is not consumed."""
        while True:
            self._skip()
            if self.position == len(self.text) or self.text[self.position] == "}":
                return
            self._directive(found)

    def _directive(self, found: list[Directive]) -> None:
        start, line = self.position, self.line()
        words = list(self._words())
        if not words:
            raise ValueError(f"line {line} has {self.text[self.position]!r} where a directive should begin")
        opens = self.text[self.position] == "{"
        self.position += 1
        directive = Directive(words[0], tuple(words[1:]), self.text, start, self.position, self.position)
        # Append before parsing the block, so that the directives before a syntax error are kept.
        found.append(directive)
        if opens:
            directive.block = []
            if directive.name.endswith("_by_lua_block"):
                self._skip_lua()
            else:
                self.read(directive.block)
            if self.position == len(self.text):
                raise ValueError(f"the block that begins in line {line} is not closed")
            self.position += 1
            directive.end = self.position

    def _words(self) -> Iterator[str]:
        """Yield the words up to a semicolon or an opening brace, which is not consumed."""
        while True:
            self._skip()
            if self.position == len(self.text):
                raise ValueError("the last directive ends without ';'")
            if self.text[self.position] in ";{":
                return
            if self.text[self.position] == "}":
                raise ValueError(f"line {self.line()} ends a block before its last directive has a ';'")
            quoted = self.text[self.position] in "\"'"
            found = (self._QUOTED if quoted else self._WORD).match(self.text, self.position)
            if not found:
                raise ValueError(f"line {self.line()} opens a quotation that is not closed")
            self.position = found.end()
            yield found["text"] if quoted else found[0]

    def _skip(self) -> None:
        self.position = self._SPACE.match(self.text, self.position).end()

    def _skip_lua(self) -> None:
        """Skip a block of Lua code, whose braces are balanced, up to its closing brace."""
        depth = 0
        while self.position < len(self.text):
            self.position = self._LUA.match(self.text, self.position).end()
            if self.text[self.position : self.position + 1] == "}" and depth == 0:
                return
            depth += 1 if self.text[self.position : self.position + 1] == "{" else -1
            self.position += 1
        self.position = len(self.text)
