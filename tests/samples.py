"""Samples of results and observations that several tests use."""

from __future__ import annotations

# The end of a measurement of tune, at the indentation of a variable of a play.
MEASUREMENTS = """\
      machine: {cpus: 2, memory_mb: 2048}
      measurements:
        - round: 0
          workers: 2
          throughput: 1000.0
          p50_ms: 5.0
          p99_ms: 20.0
          errors: {}
          cpu: {app: 1.2, nginx: 0.3, load: 0.3, machine: 1.9}
          worker_mb: 40
          slot_mb: 95
"""

# The request, the response and the observations of a healthy site.
LIVE_SOCKET = "unix:/run/hello/live.sock"
QUESTION = {
    "kind": "app",
    "name": "a.test",
    "server": "a.test",
    "port": 443,
    "tls": True,
    "proxy_protocol": False,
    "ipv6": False,
    "first": True,
    "certificate": "/etc/asgi/hello/tls/live.pem",
}
ANSWER = {
    "address": "192.0.2.9",
    "status": 200,
    "mark": {"server": "a.test", "upstream": LIVE_SOCKET, "status": 200},
    "body": "",
    "certificate": "aa" * 32,
    "wanted_certificate": "aa" * 32,
}
SEEN = {
    "app": "hello",
    "expect": "app",
    "path": "/health",
    "statuses": [200],
    "live_socket": "/run/hello/live.sock",
    "live": "green",
    "slot": {"fault": "", "unit": "hello@green.service", "socket": "/run/hello/green.sock"},
    "site": {"path": "/etc/nginx/conf.d/asgi-hello.conf", "there": True, "marked": True},
    "nginx": {"running": True, "user": "www-data", "opens": {"socket": "", "page": ""}},
    "responses": [{"question": QUESTION, "answer": ANSWER}],
    "config": None,
}
