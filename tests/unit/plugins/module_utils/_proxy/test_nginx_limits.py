"""The limits in nginx.conf are changed and restored; the sizes of nginx's hashes."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import nginx_limits as decide
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import parse_leniently, walk

DEBIAN = """\
user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include /etc/nginx/modules-enabled/*.conf;

events {
\tworker_connections 768;
\t# multi_accept on;
}

http {
\t# worker_connections 1;
\tserver_tokens off; # Recommended practice is to turn this off
\t# server_names_hash_bucket_size 64;
\tlog_format main '$remote_addr { "$request" } ${status}x # no comment;';
\tinclude /etc/nginx/conf.d/*.conf;
}
"""
NGINX_ORG = """
user  nginx;
error_log  /var/log/nginx/error.log notice;


events {
    worker_connections  1024;
}
"""


def words(text):
    return [(each.name, *each.arguments) for each in walk(parse_leniently(text))]


def other_words(text):
    return [each for each in words(text) if each[0] not in (decide.CONNECTIONS, decide.FILES)]


@pytest.mark.parametrize(
    "text",
    [
        DEBIAN,
        NGINX_ORG,
        "events {\n}\n",
        "events{\n  use epoll;\n}\n",
        "worker_rlimit_nofile 9; # few\nevents {\n\tworker_connections 9; # few\n}\n",
        "# events {\nevents\n{\n\tworker_connections\n\t768\n;\n}\n",
        "events {\n\tworker_connections 768;\n}\n# worker_rlimit_nofile 10;\n",
        "env X='worker_rlimit_nofile 7; events {';\nevents {\n\tworker_connections 768;\n}\n",
    ],
)
def test_limits_are_set_and_restored(text):
    limited = decide.with_limits(text, 8704, 13056)

    assert decide.limits(limited) == {"worker_connections": 8704, "worker_rlimit_nofile": 13056}
    assert decide.with_limits(limited, 8704, 13056) == limited
    # everything else is unchanged, in the same order
    assert other_words(limited) == other_words(text)
    back = decide.without_limits(decide.with_limits(limited, 100, 150))
    assert "".join(back.split()) == "".join(text.split())


def test_the_file_of_the_distribution_is_restored_exactly():
    limited = decide.with_limits(DEBIAN, 8704, 13056)

    assert "\nworker_rlimit_nofile 13056; # asgi.deploy: was not set\nevents {\n" in limited
    assert "\n\tworker_connections 8704; # asgi.deploy: was 768\n\t# multi_accept on;\n" in limited
    assert decide.without_limits(limited) == DEBIAN


def test_new_limits_replace_the_previous_ones():
    limited = decide.with_limits(DEBIAN, 8704, 13056)

    assert decide.with_limits(limited, 2560, 3840) == decide.with_limits(DEBIAN, 2560, 3840)
    # the administrator's higher value stays
    assert decide.with_limits(limited, 512, 768) == decide.with_limits(DEBIAN, 512, 768)
    assert decide.limits(decide.with_limits(limited, 512, 768))["worker_connections"] == 768


@pytest.mark.parametrize(
    "text",
    [
        "worker_rlimit_nofile 100000;\nevents {\n\tworker_connections 50000;\n}\n",
        "worker_rlimit_nofile 13056;\nevents {\n\tworker_connections 8704;\n}\n",
    ],
)
def test_larger_limits_of_the_administrator_are_kept(text):
    assert decide.with_limits(text, 8704, 13056) == text
    assert decide.without_limits(text) == text


def test_a_configuration_in_one_line():
    text = "user x; events { worker_connections 768; use epoll; } http { server { listen 80; } }"
    limited = decide.with_limits(text, 8704, 13056)

    assert words(limited) == [
        ("user", "x"),
        ("worker_rlimit_nofile", "13056"),
        ("events",),
        ("worker_connections", "8704"),
        ("use", "epoll"),
        ("http",),
        ("server",),
        ("listen", "80"),
    ]
    assert decide.with_limits(limited, 8704, 13056) == limited
    assert decide.without_limits(limited).split() == text.split()


def test_open_files_set_by_another_file_are_not_set():
    assert decide.limits(decide.with_limits(DEBIAN, 8704, None)) == {"worker_connections": 8704}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "include main.conf;\n",
        "http { events { worker_connections 768; } }",
        "} events { worker_connections 768; }",
        "log 'unfinished; events { worker_connections 768; }",
    ],
)
def test_an_invalid_configuration_is_not_changed(text):
    assert decide.with_limits(text, 8704, 13056) == text


def test_a_variable_instead_of_a_number_is_not_changed():
    text = "events { worker_connections many; }\n"
    assert "worker_connections many;" in decide.with_limits(text, 8704, 13056)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("variables_hash_max_size 2048;\n", True),
        ("http { variables_hash_max_size 2048; }\n", True),
        ("\tvariables_hash_max_size\t2048;\n", True),
        ("# variables_hash_max_size 2048;\n", False),
        ("x; # variables_hash_max_size 2048;\n", False),
        ("my_variables_hash_max_size 2048;\n", False),
        ("variables_hash_bucket_size 2048;\n", False),
    ],
)
def test_sets(text, expected):
    assert decide.sets(["", text], "variables_hash_max_size") is expected


def test_hashes_that_no_other_file_sets():
    text = decide.hashes(["server_names_hash_bucket_size 64;\n", DEBIAN])

    assert "server_names_hash_max_size 4096;\nvariables_hash_bucket_size 128;\nvariables_hash_max_size 4096;\n" in text
    assert "server_names_hash_bucket_size" not in text
