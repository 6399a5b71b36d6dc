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

CERTIFICATE = re.compile(r"/etc/asgi/[^/]+/tls/live\.pem|/etc/nginx/asgi-no-sni\.pem")
# The site of the other app, for an app that shares its name.
OWNER = """server {
    listen 8099;
    server_name _;
    proxy_headers_hash_max_size 2048;
    proxy_headers_hash_bucket_size 128;
    set $asgi_maintenance "";
    include conf.d/asgi-*@*.inc;
}
"""
PEM = next(pathlib.Path("/etc/asgi").glob("*/tls/live.pem"))


def judge(files):
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "nginx"
        shutil.copytree("/etc/nginx", copy, symlinks=True)
        for path in (copy / "conf.d").glob("asgi-*"):
            path.unlink()
        for name, text in files.items():
            (copy / "conf.d" / name).write_text(CERTIFICATE.sub(str(PEM), text))
        if any("@" in name for name in files):
            (copy / "conf.d/asgi-owner.conf").write_text(OWNER)
        main = copy / "nginx.conf"
        main.write_text(main.read_text().replace("/etc/nginx/", f"{copy}/").replace("/run/nginx.pid", f"{copy}/pid"))
        done = subprocess.run(["/usr/sbin/nginx", "-t", "-c", main], capture_output=True, text=True, check=False)
        return {"status": done.returncode, "output": done.stderr}


print(json.dumps({name: judge(files) for name, files in json.load(sys.stdin).items()}))
