"""Test sites with the nginx of this machine. Reads and prints JSON.

Each site is tested in a copy of /etc/nginx without the other sites of the collection, and with an existing certificate.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PEM = next(pathlib.Path("/etc/asgi").glob("*/tls/live.pem"))


def judge(files):
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "nginx"
        shutil.copytree("/etc/nginx", copy, symlinks=True)
        for path in (copy / "conf.d").glob("asgi-*"):
            path.unlink()
        for name, text in files.items():
            (copy / "conf.d" / name).write_text(re.sub(r"/etc/asgi/[^/]+/tls/live\.pem", str(PEM), text))
        main = copy / "nginx.conf"
        main.write_text(main.read_text().replace("/etc/nginx/", f"{copy}/").replace("/run/nginx.pid", f"{copy}/pid"))
        done = subprocess.run(["/usr/sbin/nginx", "-t", "-c", main], capture_output=True, text=True, check=False)
        return {"status": done.returncode, "output": done.stderr}


print(json.dumps({name: judge(files) for name, files in json.load(sys.stdin).items()}))
