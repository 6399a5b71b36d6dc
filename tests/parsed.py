"""Parse the structure of configuration files like the programs that read them.

Each parser returns the statements of a file and their words. Two files have the same structure if all their statements have the same
number of words: a value that injects configuration would add words or statements.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import Directive, parse


class Statement(NamedTuple):
    place: tuple
    words: list[str]


def nginx(text: str) -> Iterator[Statement]:
    def walk(directives: list[Directive], depth: int) -> Iterator[Statement]:
        for each in directives:
            # In a map or geo block, the first word is also a value.
            yield Statement((depth, each.block is not None), [each.name, *each.arguments])
            yield from walk(each.block or [], depth + 1)

    return walk(parse(text), 0)


def htpasswd(text: str) -> Iterator[Statement]:
    for line in text.split("\n"):
        yield Statement((), line.split(":"))


def haproxy(text: str) -> Iterator[Statement]:
    """Yield each line, including comments, because the module haproxy_site reads comments."""
    for line in text.split("\n"):
        assert "\0" not in line
        if line.startswith("#"):
            yield Statement(("comment",), line.split())
        elif words := haproxy_words(line):
            yield Statement((line.startswith(" "),), words)


def haproxy_words(line: str) -> list[str]:
    """Split *line* into words like parse_line() of HAProxy; raise ValueError for an unterminated quotation."""
    words: list[str] = []
    word: str | None = None
    quote, position = "", 0
    while position < len(line):
        character = line[position]
        position += 1
        if character == "\r" and position == len(line):
            break
        if not quote and character in " \t":
            words += [] if word is None else [word]
            word = None
        elif not quote and character == "#":
            break
        elif character in "'\"" and quote in ("", character):
            quote = "" if quote else character
            word = word or ""
        elif character == "\\" and quote != "'":
            word = (word or "") + line[position : position + 1]
            position += 1
        elif character == "$" and quote == '"':
            raise ValueError(f"{line!r} expands an environment variable")
        else:
            word = (word or "") + character
    if quote:
        raise ValueError(f"{line!r} has an unterminated quotation")
    return words + ([] if word is None else [word])


def keepalived(text: str) -> Iterator[Statement]:
    assert not re.search(r"[$@~\\]|\{[^\n]", text), "a definition, condition or continuation, or a block in one line"
    for line in re.split(r"[\n\r\0]", text):
        words = re.findall(r'"[^"]*"|[^\s"]+', re.split(r"[!#]", line)[0])
        if line.startswith("# Agreed: "):
            # This comment is a statement, because the role reads it.
            yield Statement(("comment",), line.split(" "))
        elif words:
            yield Statement((), words)


def systemd(text: str) -> Iterator[Statement]:
    """Parse a unit file like config_parse() of systemd."""
    section, continued = "", ""
    for line in re.split(r"[\n\r\0]", text):
        if line.lstrip(" \t").startswith(("#", ";")):
            continue
        joined = continued + line
        if (len(joined) - len(joined.rstrip("\\"))) % 2:
            continued = joined[:-1] + " "
            continue
        continued = ""
        joined = joined.strip(" \t")
        if joined.startswith("["):
            section = joined
            yield Statement((section,), [])
        elif joined:
            name, equals, value = joined.partition("=")
            assert equals, f"{joined!r} is not a setting"
            yield Statement((section,), [name.strip(), value.strip()])
    assert not continued, "the last line is continued"


def python(text: str) -> Iterator[Statement]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant):
            yield Statement(("constant",), [str(node.value)])
        else:
            yield Statement((type(node).__name__, *_names(node)), [])


def _names(node: ast.AST) -> Iterator[str]:
    for name in ("id", "attr", "arg", "name"):
        if isinstance(getattr(node, name, None), str):
            yield getattr(node, name)


def plan(text: str) -> Iterator[Statement]:
    yield Statement(tuple(sorted(json.loads(text))), [])


def parser_of(role: str, name: str) -> Callable[[str], Iterator[Statement]]:
    """Return the parser for the file *name* of *role*."""
    if name.endswith(".py"):
        return python
    if name.endswith(".json"):
        return plan
    if name == "htpasswd":
        return htpasswd
    if name == "keepalived.conf":
        return keepalived
    if name.endswith(".cfg"):
        return haproxy
    if role == "asgi_proxy":
        return nginx
    return systemd


@lru_cache(maxsize=64)
def statements(role: str, name: str, text: str) -> list[Statement]:
    """Return the statements of the file *name* of *role* with the content *text*."""
    return list(parser_of(role, name)(text))


def differences(role: str, before: dict[str, str], after: dict[str, str], value: str) -> list[str]:
    """Return structural differences between *before* and *after*, and changed words that did not contain *value*, except numbers."""
    assert len(before) == len(after)
    return [
        f"{new_name}: {difference}"
        for (name, old), (new_name, new) in zip(before.items(), after.items(), strict=True)
        if old != new
        for difference in _differences(statements(role, name, old), statements(role, new_name, new), value)
    ]


def _differences(before: list[Statement], after: list[Statement], value: str) -> Iterator[str]:
    if len(before) != len(after):
        new = [each for each in after if each not in before]
        yield f"{len(after) - len(before)} more statements, among them {new[:3]}"
        return
    for old, new in zip(before, after, strict=True):
        if old.place != new.place or len(old.words) != len(new.words):
            yield f"{old} became {new}"
        for one, other in zip(old.words, new.words, strict=False):
            if (
                one != other
                and value not in one
                and value not in _with_dashes(one)
                and not (_is_number(one) and _is_number(other))
            ):
                yield f"in {old}, {one!r} became {other!r}"


def _with_dashes(word: str) -> str:
    """Return *word* with a dash for each underscore, as in variables, and for each ``[-_]``, as in patterns of header names."""
    return word.replace("[-_]", "-").replace("_", "-")


def _is_number(word: str) -> bool:
    """Return whether *word* is a number, a pair of numbers, or a digest that is the value of HAProxy's cookie."""
    return re.fullmatch(r"[0-9]+(:[0-9]+)?|[0-9a-f]{12}", word) is not None
