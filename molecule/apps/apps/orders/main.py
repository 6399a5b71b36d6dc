import fastapi
from fastapi import FastAPI, Form

app = FastAPI()


@app.get("/")
def versions():
    return {"fastapi": fastapi.__version__}


@app.post("/orders")
def order(item: str = Form()):
    return {"item": item}
