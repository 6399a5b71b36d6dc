"""Import paths of applications, including calls of factories."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.import_path import check_import_path


@pytest.mark.parametrize(
    "path",
    [
        "main:app",
        "shop.web.main:app",
        "main:container.app",
        "_a:_b",
        "main:create_app()",
        "main:factories.create_app()",
        "main:create_app('a, b', -1, key={'x': [1, (2, None)]}, flag=True)",
        "main:create_app(name='ä$%')",
        "main:create()()",
        "main:create(1).wrapped(debug=True).app",
    ],
)
def test_accepted(path):
    check_import_path(path)


@pytest.mark.parametrize(
    ("path", "fault", "remedy"),
    [
        ("main", "", ""),
        ("main.py", "", ""),
        ("main:", "", ""),
        (":app", "", ""),
        ("main:app;x", "", ""),
        ("main:app #", "", ""),
        ("main:app\n", "", ""),
        ("main:(app)", "", ""),
        ("a/b:app", "", ""),
        ("a..b:c", "", ""),
        ("main:create_app('a\nb')", "", ""),
        ("main:create_app(", "which is not valid Python", ""),
        ("main:create_app(()", "which is not valid Python", ""),
        ("main:class", "which is not valid Python", ""),
        ("main:create_app('\ud800')", "", ""),
        ("main:create(1) + f(2)", "which contains more than names and calls", "set an attribute"),
        ("main:create(1)[0]", "which contains more than names and calls", "set an attribute"),
        ("main:create(open('/x')).app", "whose argument open('/x') is not a literal", "asgi_env"),
        ("main:create(os.environ)", "whose argument os.environ is not a literal", "asgi_env"),
        ("main:create(*[1])", "whose argument *[1] is not a literal", "asgi_env"),
        ("main:create(f'{x}')", "is not a literal", "asgi_env"),
        ("main:create(**{'a': 1})", "unpacked", "name=value"),
        ("main:create(" + "(" * 5000 + ")" * 5000 + ")", "which is not valid Python", ""),
    ],
)
def test_rejected(path, fault, remedy):
    with pytest.raises(ValueError) as caught:
        check_import_path(path)
    found = caught.value.args
    assert fault in found[0]
    assert remedy in found[1]
    assert fault or not found[0]
