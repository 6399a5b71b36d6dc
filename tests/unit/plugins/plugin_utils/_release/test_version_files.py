"""The files in which a project records its version are in the packed tree, as after a build."""

from __future__ import annotations

import tomllib

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.version_files import version_files


def files(text, version="1.2.1.dev3+g0123"):
    return dict(version_files(tomllib.loads(text), version, "g0123"))


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.setuptools_scm]\nversion_file = "shop/_version.py"\n',
        '[tool.setuptools_scm]\nwrite_to = "shop/_version.py"\n',
        '[tool.setuptools_scm]\nroot = ".."\nversion_file = "./shop/_version.py"\n',
        '[tool.hatch.build.hooks.vcs]\nversion-file = "shop/_version.py"\n',
    ],
)
def test_python_file_defines_the_names_of_setuptools_scm(settings):
    found = {}
    exec(files(settings)["shop/_version.py"], found)  # noqa: S102 - the file is a module
    assert found["version"] == found["__version__"] == "1.2.1.dev3+g0123"
    assert found["version_tuple"] == found["__version_tuple__"] == (1, 2, 1, "dev3", "g0123")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('[tool.setuptools_scm]\nversion_file = "VERSION"\n', {"VERSION": "1.0"}),
        ('[tool.pdm.version]\nwrite_to = "a/v.py"\nwrite_template = "v = \'{}\'"\n', {"a/v.py": "v = '1.0'"}),
        (
            '[tool.hatch.build.hooks.vcs]\nversion-file = "v"\ntemplate = "{version} {version_tuple[0]}"\n',
            {"v": "1.0 1"},
        ),
        ('[tool.setuptools_scm]\nversion_file = "v"\nversion_file_template = "{other}"\n', {"v": "1.0"}),
        ('[tool.setuptools_scm]\nversion_file = "../v"\n', {}),
        ('[tool.setuptools_scm]\nversion_file = "/etc/v"\n', {}),
        ("[tool.setuptools_scm]\nversion_file = 1\n", {}),
        ("[tool.setuptools_scm]\n", {}),
    ],
)
def test_files_and_templates(settings, expected):
    assert files(settings, "1.0") == expected
