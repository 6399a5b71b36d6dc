"""examples/fullstack: an upload and its thumbnail, a deploy with a migration, and a restored backup."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from probe import ask, process_upload
from scenario import Visitors

NAME = "shop.example.com"
EXAMPLE = Path(__file__).parents[3] / "examples/fullstack"
PICTURE = Path(__file__).parents[3] / "docs/how-to/tune-workers.png"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pictures(port):
    return ask(NAME, port, "/api/pictures").json()


@pytest.mark.smoke
def test_a_second_run_changes_nothing(playbook):
    output = playbook.succeeds(str(EXAMPLE / "site.yml"))
    assert re.search(r"ok=\d+ +changed=0 ", output), output


@pytest.mark.smoke
def test_a_worker_makes_the_thumbnail_of_an_upload(port):
    picture = process_upload(NAME, port, PICTURE)

    thumbnail = ask(NAME, port, picture["thumbnail"])
    assert (thumbnail.status, thumbnail.headers["Content-Type"]) == (200, "image/webp")
    assert thumbnail.body[8:12] == b"WEBP"


@pytest.mark.smoke
def test_the_page_in_a_browser(port):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    rules = f"MAP {NAME} 127.0.0.1:{port}"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", f"--host-resolver-rules={rules}"]
        )
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"https://{NAME}/")
        page.set_input_files("input", PICTURE)
        page.click("button")
        status, image = page.locator("#state"), page.locator("#thumbnail")
        sync_api.expect(status).to_contain_text(f"{PICTURE.name}: ready", timeout=30_000)
        sync_api.expect(image).to_be_visible()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        browser.close()


@pytest.mark.smoke
def test_the_services_are_closed_to_other_accounts(host):
    as_nobody = "runuser -u nobody -- "
    assert "NOAUTH" in host.check_output(f"{as_nobody}redis-cli -p 6379 ping 2>&1")
    assert host.run(f"{as_nobody}psql --dbname=shop --command='SELECT 1'").failed
    assert host.run(f"{as_nobody}psql --host=127.0.0.1 --username=shop --no-password --dbname=shop").failed
    listening = host.check_output("ss --no-header --listening --tcp --numeric '( sport = :5432 or sport = :6379 )'")
    assert set(re.findall(r"(\S+):(?:5432|6379)", listening)) <= {"127.0.0.1", "[::1]"}
    assert host.file("/etc/redis/redis-shop.conf").mode == 0o640


@pytest.mark.smoke
def test_a_restored_backup_contains_the_database_and_the_files(host, playbook, port):
    before = pictures(port) or [process_upload(NAME, port, PICTURE)]
    host.check_output("systemctl start shop-backup.service")
    host.check_output("runuser -u shop -- psql --command='DELETE FROM pictures'")
    host.check_output("find /srv/shop/shared/originals /srv/shop/shared/thumbnails -type f -delete")
    assert pictures(port) == []

    playbook.succeeds(str(EXAMPLE / "restore.yml"))

    assert pictures(port) == before
    assert ask(NAME, port, before[0]["thumbnail"]).status == 200
    assert process_upload(NAME, port, PICTURE)["id"] > before[0]["id"]


def test_an_unknown_backup_changes_nothing(playbook, port):
    before = pictures(port)

    output = playbook.fails(str(EXAMPLE / "restore.yml"), backup="20000101T000000Z")

    assert "has no backup 20000101T000000Z" in output
    assert pictures(port) == before


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("pictures", sa.Column("title", sa.String))
    {then}
"""


@pytest.fixture
def next_release(tmp_path):
    """Return a function that writes a release with a migration, and returns the variables of its deploy."""

    def write(then):
        code = shutil.copytree(EXAMPLE / "app", tmp_path / "app")
        (code / "migrations/versions/0002_title.py").write_text(MIGRATION.format(then=then))
        return {"asgi_app_source": {"path": str(code)}}

    return write


def revision(host):
    return host.check_output(
        "runuser -u shop -- psql --tuples-only --no-align --command='SELECT * FROM alembic_version'"
    )


def test_a_failed_migration_changes_neither_the_database_nor_the_app(host, playbook, port, next_release):
    before = host.check_output("readlink /srv/shop/current")

    output = playbook.fails("deploy", **next_release('raise RuntimeError("a duplicate title")'))

    assert "asgi_app_migrate failed: alembic ended with status 1: RuntimeError: a duplicate title" in output
    assert revision(host) == "0001"
    assert host.check_output("readlink /srv/shop/current") == before
    process_upload(NAME, port, PICTURE)


def test_no_upload_is_lost_in_a_deploy_with_a_migration(host, playbook, port, next_release):
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\nno picture\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    stored = int(host.check_output("runuser -u shop -- psql -At --command='SELECT count(*) FROM pictures'"))

    with Visitors(
        lambda: ask(NAME, port, "/api/pictures", method="POST", body=body, headers=headers).status
    ) as visitors:
        playbook.succeeds("deploy", **next_release(""))

    assert (set(visitors.statuses), visitors.errors) == ({202}, [])
    assert revision(host) == "0002"
    deadline = time.monotonic() + 60
    waiting = "runuser -u shop -- psql -At --command=\"SELECT count(*) FROM pictures WHERE state = 'queued'\""
    while host.check_output(waiting) != "0" and time.monotonic() < deadline:
        time.sleep(1)
    count = int(host.check_output("runuser -u shop -- psql -At --command='SELECT count(*) FROM pictures'"))
    print(f"{len(visitors.statuses)} uploads during the deploy, {count - stored} stored and processed")
    assert count - stored == len(visitors.statuses)
    assert host.check_output(waiting) == "0"


@pytest.mark.long
def test_the_scheduler_runs_once_per_minute(port):
    deadline = time.monotonic() + 130
    while len(ask(NAME, port, "/api/counts").json()) < 2:
        assert time.monotonic() < deadline, "the scheduler has not counted twice in two minutes"
        time.sleep(1)
