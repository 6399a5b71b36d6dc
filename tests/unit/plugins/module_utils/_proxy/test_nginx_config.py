# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser reads server blocks as nginx does."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import (
    Listen,
    dumped_files,
    parse,
    parse_leniently,
    parse_listen,
    read_servers,
    servers,
    spellings,
)

TEXT = r"""
# server { listen 1; }
http {
    upstream a { server unix:/run/a.sock; }
    map $x $y { "~^(?<n>[0-9]{2};)$" "a}b"; default ''; }
    server {
        listen 443 ssl http2; listen [::]:443 ssl;
        server_name a.test "b.test" .c.test "~^d\d{2}\.test$";
        if ($request_method = POST) { return 405; }
        location ~ \.php$ { proxy_pass http://a; add_header X-A "one; two"; }
    }
    server { server_name "~^(www\.)?(?<domain>.+)$"; return 301 https://$host$request_uri; }
}
"""


def test_servers():
    first, second = servers(TEXT, "/etc/nginx/nginx.conf")

    assert [(each.address, each.port, each.flags) for each in first.listens] == [
        ("*", 443, ("ssl", "http2")),
        ("[::]", 443, ("ssl",)),
    ]
    assert set().union(*map(spellings, first.names)) == {"a.test", "b.test", "c.test", "*.c.test", r"~^d\d{2}\.test$"}
    assert first.nested("proxy_pass") == [("http://a",)]
    assert first.nested("add_header") == [("X-A", "one; two")]
    assert first.values("proxy_pass") == []
    # without "listen", nginx uses port 80
    assert second.listens_on(80)
    assert second.values("return") == [("301", "https://$host$request_uri")]


def test_a_unix_socket_has_no_port():
    [server] = servers("server { listen unix:/run/x.sock; listen 443; }")
    assert [each.port for each in server.listens] == [443]


def test_dumped_files():
    output = (
        "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n# configuration file /etc/nginx/nginx.conf:\n"
        "http {\n}\n\n# configuration file /etc/nginx/conf.d/a b.conf:\nserver {\n}\n"
    )
    found = dumped_files(output)
    assert list(found) == ["/etc/nginx/nginx.conf", "/etc/nginx/conf.d/a b.conf"]
    assert len(servers(found["/etc/nginx/conf.d/a b.conf"])) == 1


TWO_CONTEXTS = """
user www-data; # server { server_name commented.test; }
events { worker_connections 768; }
http {
    include mime.types;
    map $http_upgrade $x { default "a;{"; "~^b}" 'c"' ; }
    server {
        listen 443 ssl; listen [::]:443 ssl;
        server_name a.test
            b.test # no.test;
            "*.c.test" '~^(?<x>a{1,2})$';
        location / { return 200 "}"; listen 1; }
        if ($host = z.test) { return 404; }
        server_name ${name}.d.test;
    }
    server{server_name e.test;}
    server { listen unix:/run/x.sock; listen 127.0.0.1:8443 quic reuseport; server_name f.test; }
}
stream { server { listen 9000; } }
"""


def test_servers_of_a_configuration():
    either = (Listen("*", 443, ("ssl",)), Listen("[::]", 443, ("ssl",)))
    assert [each[:3] for each in servers(TWO_CONTEXTS, "nginx.conf")] == [
        ("nginx.conf", ("a.test", "b.test", "*.c.test", "~^(?<x>a{1,2})$", "${name}.d.test"), either),
        ("nginx.conf", ("e.test",), (Listen("*", 80),)),
        ("nginx.conf", ("f.test",), (Listen("127.0.0.1", 8443, ("quic", "reuseport")),)),
    ]


def test_a_file_of_conf_d_is_inside_http():
    assert [each.names for each in servers("server { server_name a; }", "a.conf")] == [("a",)]


@pytest.mark.parametrize("text", ["}", "server {", "a { } } server { server_name a; }", '"', "\\", "server_name a", ""])
def test_an_invalid_file_is_read_up_to_the_error(text):
    servers(text, "broken.conf")


@pytest.mark.parametrize(
    ("where", "listen"),
    [
        ("443 ssl default_server", ("*", 443, False)),
        ("*:443", ("*", 443, False)),
        ("0.0.0.0:443", ("*", 443, False)),
        ("192.0.2.1", ("192.0.2.1", 80, False)),
        ("192.0.2.1:8080", ("192.0.2.1", 8080, False)),
        ("[::1]", ("[::1]", 80, False)),
        ("[::]:443 ipv6only=on", ("[::]", 443, False)),
        ("localhost:8000", ("localhost", 8000, False)),
        ("443 quic reuseport", ("*", 443, True)),
        ("unix:/run/a.sock", None),
        ("8000-8010", None),
        ("", None),
    ],
)
def test_parse_listen(where, listen):
    found = parse_listen(tuple(where.split()))
    assert (found and (found.address, found.port, found.udp)) == listen


def test_included_files_are_read_in_the_order_of_nginx(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "sites").mkdir()
    (tmp_path / "nginx.conf").write_text(f"http {{ include conf.d/*.conf; include {tmp_path}/sites/*; include gone; }}")
    (tmp_path / "conf.d/b.conf").write_text("server { include names; }")
    (tmp_path / "conf.d/a.conf").write_bytes("server { server_name a; } # M\u00fcller".encode("latin-1"))
    (tmp_path / "names").write_text("server_name b;")
    (tmp_path / "conf.d/ours.conf").write_text("server { server_name ours; }")
    (tmp_path / "conf.d/off.conf.bak").write_text("server { server_name off; }")
    (tmp_path / "sites/loop").write_text(f"include {tmp_path}/sites/loop; server {{ server_name c; }}")

    found = read_servers(str(tmp_path / "nginx.conf"), without=[str(tmp_path / "conf.d/ours.conf")])

    names = [each.names for each in found]
    assert names[:2] == [("a",), ("b",)]
    assert set(names[2:]) == {("c",)}
    assert {each.file for each in found} == {
        str(tmp_path / path) for path in ("conf.d/a.conf", "conf.d/b.conf", "sites/loop")
    }
    assert read_servers(str(tmp_path / "nowhere.conf")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing; here {\n", []),
        ("internal;", [("internal", ())]),
        ('return 200 \'a; {b}\' "c\\"d"; # e;', [("return", ("200", "a; {b}", 'c\\"d'))]),
        ("proxy_pass http://${host}$request_uri;", [("proxy_pass", ("http://${host}$request_uri",))]),
        ("rewrite ^/(a|b)\\;$ /x;\nset $a b;", [("rewrite", ("^/(a|b)\\;$", "/x")), ("set", ("$a", "b"))]),
        ("add_header\n  X-A\n  b;", [("add_header", ("X-A", "b"))]),
        ("location /a#b{return 404;}", [("location", ("/a#b",))]),
    ],
)
def test_parse(text, expected):
    assert [(each.name, each.arguments) for each in parse(text)] == expected


def test_parse_blocks():
    first, second = parse('map $a $b {\n  default 0;\n  "~x{2}" 1;\n}\nset_by_lua_block $x { if a then { "}" } end }')
    assert [each.arguments for each in first.block] == [("0",), ("1",)]
    assert first.source.startswith("map $a $b {") and first.source.endswith("}")
    assert (second.name, second.block) == ("set_by_lua_block", [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a b", "without ';'"),
        ("a {\n b;\n", "line 1 is not closed"),
        ("a;\n}", "line 2 closes a block that is not open"),
        ("a {\n b }", "line 2 ends a block"),
        ('a;\nb "c;', "line 2 opens a quotation"),
        ("a;\n;", "line 2 has ';'"),
        ("x_by_lua_block { {} ", "line 1 is not closed"),
    ],
)
def test_syntax_errors(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse(text)


def test_parse_leniently():
    found = parse_leniently("a;\nhttp {\n b;\n server { c; d 'e }\n}")
    assert [each.name for each in found] == ["a", "http"]
    assert [each.name for each in found[1].block] == ["b", "server"]
    assert [each.name for each in found[1].block[1].block] == ["c"]


def test_the_position_of_a_directive():
    text = "a b;\nevents { c; } d;"
    first, events, last = parse(text)
    assert [text[each.start : each.opened] for each in (first, events, last)] == ["a b;", "events {", "d;"]
    assert [each.source for each in (first, events, last)] == ["a b;", "events { c; }", "d;"]


@pytest.mark.parametrize("space", ["\xa0", "\u2003", "\x0b", "\x0c", "\x85"])
def test_only_white_space_of_nginx_separates_words(space):
    """Otherwise, the parser would see a comment where nginx reads a word, and miss a directive or the end of a block."""
    (directive,) = parse(f"a b{space}#c;\n")
    assert directive.arguments == (f"b{space}#c",)
    with pytest.raises(ValueError, match="not open"):
        parse(f"a b{space}#; }} c {{\n;\n}}")
