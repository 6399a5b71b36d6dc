"""A form, and the endpoints of the load generator."""

import os
import time
from pathlib import Path

from flask import Flask, redirect, render_template_string, request
from werkzeug.middleware.proxy_fix import ProxyFix

HERE = Path(__file__).resolve().parent
SERVING = f"{HERE.parent.name}:{os.environ.get('TRAFFIC_SETTING', '')}"
SHARED = Path(os.environ.get("ASGI_SHARED", "."))
PAGE = """<!doctype html>
<title>Notes</title>
<p>{{ request.url }}</p>
<pre>{{ notes }}</pre>
<form method="post"><input name="text"><button>Write</button></form>
"""

app = Flask(__name__)
# Only nginx can connect, and it sets the headers with the client address.
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)


@app.route("/", methods=["GET", "POST"])
def notes():
    file = SHARED / "notes.txt"
    if request.method == "POST":
        with file.open("a") as notes:
            notes.write(request.form["text"] + "\n")
        return redirect("/")
    return render_template_string(PAGE, notes=file.read_text() if file.exists() else "")


@app.get("/health")
def health():
    return "ok"


@app.route("/work", methods=["GET", "POST"])
def work():
    ident = request.get_data(as_text=True) if request.method == "POST" else request.args["id"]
    time.sleep(float(request.args.get("seconds", 0)))
    executed = SHARED / "executed"
    executed.mkdir(exist_ok=True)
    with (executed / str(os.getpid())).open("a") as file:
        file.write(f"{ident}\n")
    return f"{ident} {SERVING}"


@app.post("/hang")
def hang():
    time.sleep(3600)
