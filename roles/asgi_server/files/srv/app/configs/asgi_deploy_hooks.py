# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Hooks of gunicorn from a file of the release, which run after those of this collection.

An error in a hook that runs at the start of the master or of a worker prevents the start, so a deploy fails and reports it. An error in
a hook that runs in the master later is logged; otherwise, it would end the service.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import sys
from types import ModuleType

START = ("on_starting", "when_ready")
WORKER = ("post_fork", "post_worker_init")
LATER = ("on_reload", "pre_fork", "child_exit", "worker_exit", "on_exit")
REQUEST = ("pre_request", "post_request")
HOOKS = (*START, *WORKER, *LATER, *REQUEST)

UNSUPPORTED = {
    "nworkers_changed": "gunicorn's number of workers changes whenever a worker is replaced",
    "pre_exec": "gunicorn's upgrade in place is not used: a deploy starts the other slot",
    "ssl_context": "nginx terminates TLS",
    "worker_abort": "a worker that hangs prints its stacks instead, because it cannot run Python code",
    "worker_int": "the workers of asgi.deploy handle the signal",
}


def chained(configuration: dict, path: str, calls_request_hooks: bool) -> dict:
    """Return the hooks in the file *path* of the release, each preceded by the hook of the same name in *configuration*.

    *calls_request_hooks* is whether the server calls pre_request and post_request.
    """
    module = load(path)
    unsupported = dict(UNSUPPORTED)
    if not calls_request_hooks:
        unsupported.update(dict.fromkeys(REQUEST, "uvicorn does not call it: use a middleware of the app"))
    for name, reason in unsupported.items():
        if hasattr(module, name):
            raise ValueError(f"{path} defines {name}, which is not supported: {reason}")
    found = {name: getattr(module, name) for name in HOOKS if hasattr(module, name)}
    if not found:
        raise ValueError(f"{path} defines none of the hooks {', '.join(HOOKS)}")
    return {name: chain(name, configuration.get(name), hook) for name, hook in found.items()}


@functools.lru_cache
def load(path: str) -> ModuleType:
    """Return the file *path* of the release as a module; the current directory is the code of the release.

    It is executed once, although gunicorn executes its configuration again for each reload: an error would end the service.
    """
    full = os.path.join(os.getcwd(), path)
    if not os.path.isfile(full):
        raise FileNotFoundError(f"asgi_server_gunicorn_hooks is {path!r}, but the release contains no such file")
    spec = importlib.util.spec_from_file_location("asgi_deploy_release_hooks", full)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def chain(name: str, first, hook):
    """Return a function that calls *first*, if there is one, and *hook*."""

    @functools.wraps(hook)  # gunicorn checks the number of parameters
    def run(*arguments):
        if first:
            first(*arguments)
        try:
            hook(*arguments)
        except Exception:
            if name in (*START, *LATER):  # gunicorn logs the errors of the others
                logging.getLogger("gunicorn.error").exception("The hook %s of the release failed", name)
            if name not in LATER:
                raise

    return run
