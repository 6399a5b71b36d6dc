"""Clients that come while something happens to a site."""

from __future__ import annotations

import threading

import probe


class Visitors:
    """Clients that come one after the other, each on a connection of its own."""

    def __init__(self, site, count=3):
        self.site, self.port = site, site.port(443)
        self.answers, self.refused = [], []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.visit) for each in range(count)]

    def visit(self):
        while not self.stop.is_set():
            try:
                self.answers.append(probe.ask(self.site.name, self.port, "/health").status)
            except OSError as exc:
                self.refused.append(exc)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_details):
        self.stop.set()
        for thread in self.threads:
            thread.join()
