"""An app that can be the root of a site or live below a path: it makes links, redirects and a WebSocket from root_path."""

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse

app = FastAPI()


@app.get("/")
def home(request: Request):
    return {"root_path": request.scope["root_path"], "link": str(request.url_for("item", number=1))}


@app.get("/health")
def health():
    return "ok"


@app.get("/items/{number}", name="item")
def item(number: int):
    return {"item": number}


@app.get("/first")
def first(request: Request):
    return RedirectResponse(request.url_for("item", number=1))


@app.post("/items")
def add(item: dict):
    return item


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()
