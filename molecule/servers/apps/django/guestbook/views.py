"""A form that writes to a database, and the endpoints of the load generator."""

import multiprocessing
import os
import time
from pathlib import Path

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt

from guestbook.models import Entry

# On a host, the code is in /srv/<app>/releases/<id>/code.
SERVING = f"{settings.BASE_DIR.parent.name}:{os.environ.get('TRAFFIC_SETTING', '')}"
EXECUTED = Path(os.environ.get("ASGI_SHARED", ".")) / "executed"


def guestbook(request):
    if request.method == "POST":
        Entry.objects.create(text=request.POST["text"])
        return redirect("/")
    return render(request, "guestbook.html", {"entries": Entry.objects.all()})


def health(request):
    return HttpResponse("ok")


@csrf_exempt
def work(request):
    ident = request.body.decode() if request.method == "POST" else request.GET["id"]
    time.sleep(float(request.GET.get("seconds", 0)))
    EXECUTED.mkdir(exist_ok=True)
    with (EXECUTED / str(os.getpid())).open("a") as file:
        file.write(f"{ident}\n")
    return HttpResponse(f"{ident} {SERVING}")


@csrf_exempt
async def hang(request):
    # As in a process pool, the child inherits the connections of its worker.
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,)).start()
    time.sleep(3600)  # noqa: ASYNC251 - blocks the event loop deliberately
