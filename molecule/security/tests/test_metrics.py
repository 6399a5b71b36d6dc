"""An app cannot attack the host, other apps or Prometheus through the files of its counters."""

from __future__ import annotations

import re
import time

import pytest

MIB = 1 << 20
SCRAPE = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
client.connect("/run/%s/metrics.sock")
client.sendall(b"GET /metrics HTTP/1.1\\r\\n\\r\\n")
sys.stdout.buffer.write(b"".join(iter(lambda: client.recv(1 << 20), b"")).partition(b"\\r\\n\\r\\n")[2])
"""
LINE = re.compile(
    r"# (HELP|TYPE) [a-zA-Z_:][\w:]* .*"
    r'|[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="([^"\\]|\\.)*",?)*\})? ([-+0-9.e]+|NaN|[-+]Inf)( \d+)?'
)
# The directory of the worker's counters, and a function that returns the content of a counter file.
PREAMBLE = """
import errno, glob, json, os, signal, socket, struct, subprocess
here = os.environ["PROMETHEUS_MULTIPROC_DIR"]
places = [place for top in ("/run", "/run/intruder/counters", "/run/intruder/metrics") for place, _n, _f in os.walk(top)]

def counters(keys, used=None):
    entries = []
    for key in keys:
        key = json.dumps(key).encode() if not isinstance(key, bytes) else key
        key_size = len(key)
        key += b" " * (8 - (key_size + 4) % 8)
        entries.append(struct.pack("=i", key_size) + key + struct.pack("=dd", 1.0, 0.0))
    body = b"".join(entries)
    return struct.pack("=ii", 8 + len(body) if used is None else used, 0) + body
"""
CLEAN = """
for directory, _names, files in os.walk(here):
    for name in files + _names:
        if "_66" in name:
            path = os.path.join(directory, name)
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
for path in {path for place in places for path in glob.glob(place + "/pwn*")}:
    os.unlink(path)
result = os.listdir(here)
"""


def attack(app, code):
    return app.run(PREAMBLE + code)


def scrape(machine, app: str, within: float = 25) -> str:
    """Scrape the unix socket of *app* as root; require a response in time that consists of valid samples only."""
    began = time.monotonic()
    text = machine.check_output("python3 -c %s", SCRAPE % app)
    assert time.monotonic() - began < within
    assert text
    assert [line for line in text.split("\n") if line and not LINE.fullmatch(line)] == []
    return text


def counted(text: str, metric: str = "asgi_requests_total") -> float:
    return sum(float(value) for value in re.findall(rf"^{metric}\{{.*\}} (\S+)$", text, re.MULTILINE))


def free_in_run(machine) -> tuple[int, int]:
    """Return the free bytes and inodes in /run."""
    blocks, inodes = machine.check_output("stat --file-system --format='%f %d %S' /run").rsplit(" ", 1)[0].split()
    return int(blocks) * 4096, int(inodes)


@pytest.fixture(autouse=True)
def tidy(intruder):
    yield
    attack(intruder, CLEAN)


FILL = {
    "space": """
    for directory in places:
        try:
            with open(os.path.join(directory, "pwn_space"), "wb") as file:
                for _time in range(256):
                    file.write(bytes(1 << 20))
        except OSError:
            pass
    result = "done"
    """,
    "inodes": """
    for directory in places:
        try:
            for number in range(30000):
                open(os.path.join(directory, f"pwn{number}"), "x").close()
        except OSError:
            pass
    result = "done"
    """,
}


@pytest.mark.parametrize("resource", sorted(FILL))
def test_app_cannot_fill_run(machine, intruder, victim, playbook, resource):
    before = free_in_run(machine)

    assert attack(intruder, "\n".join(line[4:] for line in FILL[resource].splitlines())) == "done"

    after = free_in_run(machine)
    assert before[0] - after[0] < 8 * MIB
    assert before[1] - after[1] < 100
    # With a full counter file system, the app still responds, new workers start, and another app can be deployed.
    machine.check_output(f"pkill --signal KILL --newest --uid {intruder.name} --full gunicorn")
    for _time in range(20):
        assert intruder.ask().text == "fine"
    machine.check_output("systemctl daemon-reload && systemd-run --quiet --wait true")
    lock = f"/srv/{victim.name}/.lock"
    taken = machine.check_output(f"stat --format=%.Y {lock}")
    playbook.succeeds("deploy", "--limit", victim.name)
    machine.check_output(f"touch --date=@{taken} {lock}")  # restore the modification time, which every deploy changes
    assert "asgi_workers{" in scrape(machine, victim.name)
    assert float(re.findall(r"^asgi_metrics_space_used (\S+)$", scrape(machine, intruder.name), re.MULTILINE)[0]) > 0.9


STRAY = {
    "pipe": 'os.mkfifo(here + "/counter_66.db")',
    "link to a secret": 'os.symlink("/etc/shadow", here + "/counter_66.db")',
    "link to endless zeros": 'os.symlink("/dev/zero", here + "/counter_66.db")',
    "directory": 'os.mkdir(here + "/counter_66.db")',
    "socket": 'socket.socket(socket.AF_UNIX).bind(here + "/counter_66.db")',
    "hole of many gigabytes": """
with open(here + "/counter_66.db", "wb") as file:
    file.write(struct.pack("=ii", (1 << 31) - 1, 0))
    file.truncate(1 << 40)
""",
    "truncated": 'open(here + "/counter_66.db", "wb").write(counters([["a", "a_total", {}, "x"]])[:-3])',
    "entry of negative length": 'open(here + "/counter_66.db", "wb").write(struct.pack("=iii", 64, 0, -64) + bytes(60))',
    "no JSON": 'open(here + "/counter_66.db", "wb").write(counters([b"[[[[[[" * 3000]))',
    "other JSON": 'open(here + "/counter_66.db", "wb").write(counters([{"a": 1}, [1, 2, 3, 4], [None] * 4]))',
    "wrong type": 'open(here + "/histogram_66.db", "wb").write(counters([["asgi_requests", "x", {"le": "y"}, "x"]]))',
    "wrong name": 'open(here + "/note_66.db", "wb").write(bytes(100))',
    "directory that is a link": 'os.symlink("/srv", os.path.dirname(here) + "/x_66.y")',
}


@pytest.mark.parametrize("stray", sorted(STRAY))
def test_stray_file_does_not_affect_the_metrics(machine, intruder, stray):
    before = counted(scrape(machine, intruder.name))
    attack(intruder, STRAY[stray] + "\nresult = 'done'")
    time.sleep(1.1)  # longer than the exporter caches a response

    text = scrape(machine, intruder.name)

    assert counted(text) > before
    assert "root:" not in text


HOSTILE = {
    "line in the name of a metric": ["a 1\nup 0\n# TYPE b", "a 1\nup 0\nb_total", {}, "x"],
    "line in the name of a sample": ["a", "a 1\nup 0\nb_total", {}, "x"],
    "line in a label's name": ["a", "a_total", {'b="c"} 1\nup 0\nd{e': "f"}, "x"],
    "line in a label's value": ["a", "a_total", {"b": 'c"} 1\nup 0\nd{e="f'}, "x"],
    "line in the text": ["a", "a_total", {}, "x\nup 0\r\nup 0\n"],
    "number in place of text": ["a", "a_total", {"b": 1}, 2],
    "lone surrogate": ["a", "a_total", {"b": "\ud800"}, "\udfff"],
    "labels of the exporter": [
        "asgi_slot_live",
        "asgi_slot_live",
        {"slot": "blue", "release": "x", "config": "y"},
        "x",
    ],
}


@pytest.mark.parametrize("attempt", sorted(HOSTILE))
def test_counter_content_cannot_add_lines(machine, intruder, attempt):
    code = f'open(here + "/counter_66.db", "wb").write(counters([{HOSTILE[attempt]!r}]))\nresult = 1'
    attack(intruder, code)
    time.sleep(1.1)

    text = scrape(machine, intruder.name)

    assert re.findall(r"^up ", text, re.MULTILINE) == []
    assert counted(text) > 0


def test_number_of_series_is_limited(machine, intruder, victim):
    """Memory and time are limited, and the metrics of the other app are not affected."""
    for number in range(3):
        code = f"""
keys = (b'["a","a_total",{{"b":"%07d"}},""]' % each for each in range({number * 60000}, {(number + 1) * 60000}))
open(f"{{here}}/counter_66{number}.db", "wb").write(counters(keys))
result = 1
"""
        attack(intruder, code)
    time.sleep(1.1)

    text = scrape(machine, intruder.name, within=60)

    assert len(text) < 40 * MIB
    assert int(re.findall(r"^asgi_metrics_files_skipped (\d+)$", text, re.MULTILINE)[0]) > 0
    assert "asgi_workers{" in scrape(machine, victim.name)
    peak = machine.check_output(f"systemctl show --value --property=NRestarts,Result {intruder.name}-metrics.service")
    assert "success" in peak


# Code for the intruder's worker that must fail with a permission error or find nothing.
FOREIGN = {
    "scrape the neighbour": """
client = socket.socket(socket.AF_UNIX)
client.connect("/run/victim/metrics.sock")
client.sendall(b"GET /metrics HTTP/1.1\\r\\n\\r\\n")
result = client.recv(100).decode()
""",
    "read the neighbour's counters": "result = os.listdir('/run/victim/counters')",
    "write among the neighbour's counters": "open('/run/victim/counters/pwned', 'w').close(); result = 'written'",
    "replace the neighbour's socket": "os.unlink('/run/victim/metrics.sock'); result = 'removed'",
    "replace its own socket": "os.unlink('/run/intruder/metrics.sock'); result = 'removed'",
    "write beside its sockets": "open('/run/intruder/pwned', 'w').close(); result = 'written'",
    "unmount its counters": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.umount2(b"/run/intruder/counters", 2):
    raise OSError(ctypes.get_errno(), "umount2")
result = "unmounted"
""",
    "run a program from its counters": """
path = here + "/pwn_66"
open(path, "w").write("#!/bin/sh\\necho ran\\n")
os.chmod(path, 0o755)
result = subprocess.run([path], capture_output=True, text=True).stdout
""",
}


@pytest.mark.parametrize("attempt", sorted(FOREIGN))
def test_app_can_access_only_its_own_counters(intruder, attempt):
    code = "\n".join(f"    {line}" for line in FOREIGN[attempt].splitlines())
    result = attack(intruder, f"try:\n{code}\nexcept OSError as exc:\n    result = exc.errno")
    assert result in (1, 2, 13, 20, 30), result  # EPERM ENOENT EACCES ENOTDIR EROFS


def test_slow_clients_do_not_delay_a_scrape(machine, intruder):
    """Open more connections than the limit, each of which sends a byte from time to time."""
    slow = """
import socket, time
clients = []
for number in range(100):
    clients.append(socket.socket(socket.AF_UNIX))
    clients[-1].connect("/run/intruder/metrics.sock")
end = time.monotonic() + 8
while time.monotonic() < end:
    for client in clients:
        try:
            client.send(b"G")
        except OSError:
            pass
    time.sleep(0.5)
"""
    machine.run_expect([0], f"systemd-run --collect --unit=slow-clients python3 -c '{slow}'")
    time.sleep(2)
    try:
        for _time in range(3):
            assert counted(scrape(machine, intruder.name, within=8)) > 0
    finally:
        machine.run("systemctl stop slow-clients.service")


def test_exporter_is_confined_to_the_app_and_stops_in_time(machine, intruder):
    """The exporter imports a package of the release, whose code its sandbox must confine."""
    scrape(machine, intruder.name)
    unit = f"{intruder.name}-metrics.service"
    pid = machine.check_output(f"systemctl show --value --property=MainPID {unit}")
    for directory in ("srv", "run"):
        names = machine.check_output(f"runuser --user {intruder.name} -- ls /proc/{pid}/root/{directory}")
        assert set(names.split()) <= {intruder.name, "systemd"}
    # systemd can stop the exporter even if the app has sent SIGSTOP to it.
    attack(intruder, f"try:\n    os.kill({pid}, signal.SIGSTOP)\nexcept OSError:\n    pass\nresult = 1")
    began = time.monotonic()
    machine.check_output(f"systemctl stop {unit}")
    assert time.monotonic() - began < 15
    assert counted(scrape(machine, intruder.name)) > 0
