from fastapi import FastAPI
from nicegui import ui

app = FastAPI()


@app.get("/health")
def health():
    return "ok"


@ui.page("/")
def index():
    ui.label("Hello from NiceGUI")
    ui.button("Count")


ui.run_with(app)
