"""Have this machine's nginx judge each site below a directory; runs on the machine, prints JSON.

Each is judged in a copy of /etc/nginx that has no other site of ours, with the certificate that a site here has.
"""

import json
import pathlib
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
            own = (
                next(line.split()[1] for line in text.splitlines() if "ssl_certificate " in line)
                if "ssl_certificate " in text
                else ""
            )
            (copy / "conf.d" / name).write_text(text.replace(own.rstrip(";"), str(PEM)) if own else text)
        main = copy / "nginx.conf"
        main.write_text(main.read_text().replace("/etc/nginx/", f"{copy}/").replace("/run/nginx.pid", f"{copy}/pid"))
        done = subprocess.run(["/usr/sbin/nginx", "-t", "-c", main], capture_output=True, text=True, check=False)
        return {"status": done.returncode, "said": done.stderr}


sites = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
print(json.dumps({path.stem: judge(json.loads(path.read_text())) for path in sites}))
