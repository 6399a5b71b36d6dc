"""Symlinks in a source tree, or in directories of the app that nginx or root reads, cannot expose files of other accounts."""

from __future__ import annotations

import subprocess
import textwrap

import pytest

SECRET = "/etc/asgi/victim/htpasswd"
CANARY = "$6$canarycanary$"
STATIC = [{"url": "/static/", "path": "static", "follow_symlinks": True}]
# nginx serves symlinks inside the tree.
HARMLESS = {"static/a/real.txt": "harmless"}

DEEP = "static/s/t/u/v/w"
UP = "../../../../../.."  # leads from DEEP to the root of the tree
OUT = f"{UP}{SECRET}"  # leads from the root of the tree, which is five directories below /, to SECRET

# Symlinks in the source tree, and the path at which nginx would serve the victim's file.
CHAINS = {
    "link, then ..": ({f"{DEEP}/top": UP, f"{DEEP}/out": f"top/../../../../..{SECRET}"}, "s/t/u/v/w/out"),
    "link to a link": (
        {f"{DEEP}/top": UP, f"{DEEP}/root": "top/../../../../..", "static/out": f"s/t/u/v/w/root{SECRET}"},
        "out",
    ),
    "directory": ({f"{DEEP}/top": UP, f"{DEEP}/out": "top/../../../../../etc/asgi/victim"}, "s/t/u/v/w/out/htpasswd"),
    "link to an absolute one": ({"static/out": "../other", "other": SECRET}, "out"),
    "absolute directory": ({"static/out": "/etc/asgi/victim"}, "out/htpasswd"),
    "relative": ({"static/out": OUT}, "out"),
    "the app's own shared directory": (
        {f"{DEEP}/top": UP, f"{DEEP}/out": "top/../../../shared/out"},
        "s/t/u/v/w/out",
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a function that adds symlinks to a source, and optionally turns it into a git repository."""

    def make(directory, links, kind):
        for name, target in {**links, "static/inside": "a/../a/real.txt"}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).symlink_to(target)
        if kind == "path":
            return {"path": str(directory)}
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        for command in (
            ["init", "--quiet", "--initial-branch=main"],
            ["add", "."],
            ["commit", "--quiet", "--message=x"],
        ):
            subprocess.run(["git", *identity, *command], cwd=directory, check=True)
        return {"git": str(directory), "ref": "main"}

    return make


def test_links_within_the_source_are_served(intruder, playbook, source, tree):
    """The deploy of the site for the attacks below."""
    repository = tree(source(HARMLESS), {}, "git")
    playbook.succeeds("site", asgi_app_source=repository, asgi_proxy_static=STATIC)
    assert intruder.ask("/static/inside").text == "harmless"


@pytest.mark.parametrize("kind", ["git", "path"])
@pytest.mark.parametrize("attempt", CHAINS)
def test_symlinks_out_of_the_source_are_rejected(intruder, playbook, source, tree, attempt, kind):
    links, path = CHAINS[attempt]
    intruder.run(
        f"import os; os.path.lexists('/srv/intruder/shared/out') or os.symlink({SECRET!r}, '/srv/intruder/shared/out')"
    )
    before = intruder.release

    output = playbook.fails("deploy", asgi_app_source=tree(source(HARMLESS), links, kind), asgi_proxy_static=STATIC)

    assert "which leads out of the tree" in output
    assert intruder.release == before
    assert CANARY not in intruder.ask(f"/static/{path}").text


# Code of the app in a directory that nginx serves, and the path at which nginx would serve the result.
MEDIA = {
    "link to a file": ("os.symlink('/etc/asgi/victim/htpasswd', 'out')", "out"),
    "relative link": ("os.symlink('../../../../etc/asgi/victim/htpasswd', 'out')", "out"),
    "link to a directory": ("os.symlink('/etc/asgi/victim', 'out')", "out/htpasswd"),
    "link to /": ("os.symlink('/', 'out')", "out/etc/asgi/victim/htpasswd"),
    "chain": ("os.symlink('/etc/asgi/victim/htpasswd', 'next'); os.symlink('next', 'out')", "out"),
    "chain of directories": (
        "os.mkdir('a'); os.symlink('/etc', 'a/b'); os.symlink('a/b', 'out')",
        "out/asgi/victim/htpasswd",
    ),
    "link to the victim's files": ("os.symlink('/srv/victim/shared', 'out')", "out/canary-of-the-data.txt"),
    "hard link": ("os.link('/etc/asgi/victim/htpasswd', 'out')", "out"),
    "compressed beforehand": ("open('out', 'w').close(); os.symlink('/etc/asgi/victim/htpasswd', 'out.gz')", "out"),
    "exchange of a file and a link": (
        """
        import threading, time
        open('file', 'w').write('mine'); os.symlink('/etc/asgi/victim/htpasswd', 'link')
        def swap():
            end = time.monotonic() + 4
            while time.monotonic() < end:
                for name in ('file', 'link'):
                    os.link(name, 'new', follow_symlinks=False); os.rename('new', 'out')
        threading.Thread(target=swap).start()""",
        "out",
    ),
}


@pytest.fixture(scope="module")
def media(machine, playbook):
    """Serve a directory of the app as operators do: nginx is a member of the app's group, and a snippet serves the directory."""
    machine.check_output("usermod --append --groups intruder www-data && systemctl restart nginx")
    snippet = "location /media/ { alias /srv/intruder/shared/media/; gzip_static on; }"
    playbook.succeeds("site", asgi_proxy_snippet_server=snippet)
    yield
    # A test may have removed the group together with the app.
    machine.run("gpasswd --delete www-data intruder")
    machine.check_output("systemctl restart nginx")
    playbook.succeeds("site")


def in_media(intruder, code):
    """Run *code* in a directory that nginx serves, with a file of the app and a symlink to it. Return done or refused."""
    return intruder.run(
        f"""
        import os, shutil
        shutil.rmtree('/srv/intruder/shared/media', ignore_errors=True)
        os.mkdir('/srv/intruder/shared/media')
        os.chdir('/srv/intruder/shared/media')
        open('upload', 'w').write('an upload')
        os.symlink('upload', 'latest')
        try:
            exec({textwrap.dedent(code)!r}, globals())
            result = 'done'
        except OSError:
            result = 'refused'
        """
    )


@pytest.mark.usefixtures("media")
@pytest.mark.parametrize("attempt", MEDIA)
def test_nginx_does_not_follow_symlinks_of_the_app_to_files_of_others(intruder, attempt):
    code, path = MEDIA[attempt]
    # The kernel rejects the hard link, which would also cross a mount point of the sandbox.
    assert in_media(intruder, code) == ("refused" if "hard" in attempt else "done")
    assert [intruder.ask(f"/media/{name}").text for name in ("upload", "latest")] == ["an upload"] * 2
    for encoding in ("gzip", "identity"):
        for _ in range(200 if "exchange" in attempt else 1):
            answer = intruder.ask(f"/media/{path}", headers={"Accept-Encoding": encoding})
            assert CANARY.encode() not in answer.body
            assert b"canary" not in answer.body


# Symlinks in a directory that root traverses, which a backup or a removal could follow.
SHARED = """
import os
os.makedirs('/srv/intruder/shared/deep', exist_ok=True)
os.chdir('/srv/intruder/shared/deep')
for name, target in {
    'etc': '/etc', 'shadow': '/etc/shadow', 'victim': '/srv/victim', 'up': '../../../victim', 'secret': '/etc/asgi/victim/htpasswd',
}.items():
    os.path.lexists(name) or os.symlink(target, name)
"""
OWNERS = "stat --format='%n %u:%g %a' /etc /etc/passwd /etc/shadow /etc/asgi/victim/* /srv/victim /srv/victim/* /srv/intruder"


@pytest.mark.parametrize("data", [False, True])
def test_root_follows_no_symlinks_in_app_data(machine, intruder, playbook, data):
    before = machine.check_output(OWNERS)
    intruder.run(SHARED)

    playbook.succeeds("uninstall", asgi_uninstall="intruder", asgi_app_uninstall_data=data)
    assert machine.file("/srv/intruder/shared/deep/secret").is_symlink is not data
    assert machine.file("/etc/shadow").exists
    playbook.succeeds("site")

    assert machine.check_output(OWNERS) == before
    if not data:
        assert machine.check_output("stat --format=%U /srv/intruder/shared/deep/secret") == "intruder"


def test_app_cannot_create_links_in_directories_of_root(intruder):
    """Root owns the parent directories of all files that it writes."""
    succeeded = intruder.run(
        """
        import os
        home, names = '/srv/intruder', 'shared cache releases current slots configs releases.json staged'.split()
        attempts = [(os.rename, f'{home}/{name}', f'{home}/{name}.moved') for name in names]
        attempts += [(os.symlink, '/etc/cron.d', f'{home}/{name}.new') for name in names]
        attempts += [(os.rename, path, f'{path}.moved') for path in (
            '/run/intruder', '/run/intruder/live.sock', '/run/intruder/blue.sock', '/var/log/nginx/intruder.access.log')]
        attempts += [(os.symlink, '/etc/asgi/victim/htpasswd', path) for path in (
            '/run/intruder/new.sock', f'{home}/current/code/static', f'{home}/slots/blue/new', '/var/lib/asgi/intruder/acme/x',
            '/var/log/nginx/intruder.access.log.1', '/etc/asgi/intruder/new')]
        result = []
        for attempt, *paths in attempts:
            try:
                attempt(*paths)
                result.append(paths)
            except OSError:
                pass
        """
    )
    assert succeeded == []
