"""The program that checks in a release whether asgi_module is an application."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import import_probe

PROBE = Path(import_probe.__file__).read_text()
LOADER = Path(__file__).resolve().parents[5] / "roles/asgi_server/files/srv/app/configs/asgi_deploy_app.py"

SHOP = """
import functools, os

class Instance:
    async def __call__(self, scope, receive, send): ...

class Configured(Instance):
    def __init__(self, settings): self.app = Instance()
    def wrapped(self): return self

class Flexible(Instance):
    def __init__(self, *args, **kwargs): ...

class Asgi3:
    def __init__(self, scope, receive, send): ...
    def __await__(self): ...

class Asgi2:
    def __init__(self, scope): ...
    async def __call__(self, receive, send): ...

class Wsgi:
    def __init__(self, environ, start_response): ...
    def __iter__(self): ...

async def asgi(scope, receive, send): ...
def wsgi(environ, start_response): ...
def asgi2(scope): ...
def decorated(*args, **kwargs): ...

async def asgi_with_defaults(scope=None, receive=None, send=None): ...
async def asgi_with_other_names(s=None, r=None, t=None): ...
def asgi_without_await(scope=None, receive=None, send=None): return asgi(scope, receive, send)
def asgi2_with_default(scope=None): ...
def wsgi_with_defaults(environ={}, start_response=None): ...

class InstanceWithDefaults:
    def __call__(self, s=None, r=None, t=None): ...

with_defaults = InstanceWithDefaults()
partial_asgi_with_defaults = functools.partial(asgi_with_other_names)

@functools.lru_cache
def create_cached_app(settings=None, debug=False, testing=False): ...
async def create_app_with_settings_later(settings=None): ...

def create_app(settings=None, debug=False):
    return (Instance(), settings, debug)[0]

def create_app_for(settings): ...
async def create_app_later(): return Instance()

app, partial, number = Instance(), functools.partial(create_app, debug=True), 3
where = os.getcwd()

class container:
    app, create = app, staticmethod(create_app)
"""

APPLICATIONS = [
    "app",
    "container.app",
    "Asgi3",
    "Asgi2",
    "Wsgi",
    "asgi",
    "wsgi",
    "asgi2",
    "decorated",
    "create_app()",
    "create_app({'a': (1, None)}, debug=True)",
    "container.create('x')",
    "Configured('x').wrapped().app",
    "Configured('x')",
    "dict.get",  # written in C
    "asgi_with_defaults",
    "asgi_with_other_names",
    "asgi_without_await",
    "asgi2_with_default",
    "wsgi_with_defaults",
    "with_defaults",
    "partial_asgi_with_defaults",
]
FAULTS = {
    "create_app": "needs no arguments, so it is not an application but returns one: set asgi_module to shop:create_app()",
    "partial": "set asgi_module to shop:partial()",
    "container.create": "set asgi_module to shop:container.create()",
    "create_cached_app": "set asgi_module to shop:create_cached_app()",
    "create_app_with_settings_later": "set asgi_module to shop:create_app_with_settings_later()",
    "Instance": "is a class, not an application: set asgi_module to an instance, such as shop:Instance()",
    "Configured": "is a class",
    "Flexible": "is a class",
    "create_app_for": "takes (settings), which are not the arguments of an application",
    "create_app_later()": "returns a coroutine",
    "number": "is of the type int, which is not",
    "container.app.__module__": "is of the type str",
}


@pytest.fixture
def probe(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/shop.py").write_text(
        SHOP + "\ndict = __builtins__['dict'] if type(__builtins__) is dict else dict\n"
    )

    def run(target, directory="", module=None, shared=(), **environment):
        argv = [sys.executable, "-c", PROBE, *shared, f"shop:{module or target}", f"shop:{target}", str(directory)]
        return subprocess.run(
            argv, cwd=tmp_path / "code", env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("target", APPLICATIONS)
def test_applications_are_accepted(probe, target):
    found = probe(target)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("target", FAULTS)
def test_other_objects_are_rejected_with_the_remedy(probe, target):
    found = probe(target)
    assert found.returncode == import_probe.NOT_AN_APPLICATION, found.stderr
    last = found.stderr.splitlines()[-1]
    assert last.startswith(f"{import_probe.FAULT}shop:{target} ")
    assert FAULTS[target] in last


@pytest.mark.parametrize(
    ("module", "factory"),
    [("create_app(1, 2, 3)", "create_app"), ("Configured('(').wrapped().app", "Configured"), ("app", "app")],
)
def test_a_factory_that_is_only_looked_up(probe, module, factory):
    assert import_probe.uncalled(f"shop:{module}") == f"shop:{factory}"
    assert probe(factory, module=module).returncode == 0
    assert "no attribute 'missing'" in probe("missing", module="missing()").stderr
    assert "is of the type int" in probe("number", module="number()").stderr


def test_errors_of_the_app_are_shown_without_frames_of_the_probe(probe):
    found = probe("create_app(1, 2, 3)")
    assert found.returncode == 1
    assert "TypeError: create_app() takes" in found.stderr
    assert "<string>" not in found.stderr
    assert "AttributeError: module 'shop' has no attribute 'missing'" in probe("missing").stderr


def test_the_working_directory_is_created_and_modules_are_imported_from_the_code(probe, tmp_path):
    data = tmp_path / "shared/data"
    found = probe("where.missing", data)
    assert "'str' object has no attribute 'missing'" in found.stderr
    assert data.is_dir()
    (data / "shop.py").write_text("raise RuntimeError('imported from the writable directory')\n")
    assert probe("app", data).stderr == ""


@pytest.mark.parametrize(
    "target",
    ["app", "container.app", "Configured('x').wrapped().app", "create_app({'a': 1}, debug=True)", "Configured('x')"],
)
def test_the_server_loads_the_same_object(tmp_path, monkeypatch, target):
    spec = importlib.util.spec_from_file_location("asgi_deploy_app", LOADER)
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    (tmp_path / "probed_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/first")
    monkeypatch.chdir(tmp_path)

    path = f"probed_shop:{target}"
    loader.configure(path, working_directory=str(tmp_path / "shared"))
    assert type(loader.load()) is type(import_probe.load(path))
    assert os.getcwd() == str(tmp_path / "shared")
    assert os.environ["PYTHONPATH"] == f"{tmp_path}:/first"
    loader.configure(path)
    assert functools.reduce(lambda _none, _call: loader.load(), range(2)) is not None


def test_the_directories_of_shared_paths_exist_at_the_import(probe, tmp_path):
    shared = [str(tmp_path / "shared/media"), str(tmp_path / "shared/var/cache")]
    (tmp_path / "code/shop.py").write_text(
        f"import os, sys\nassert os.listdir({shared[0]!r}) == []\nassert len(sys.argv) == 1\ndef app(a, b): ...\n"
    )
    assert probe("app", shared=shared).returncode == 0
    assert Path(shared[1]).is_dir()
