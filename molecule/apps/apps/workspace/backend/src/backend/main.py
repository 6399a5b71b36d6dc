from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from greeting import greet
from tabulate import tabulate

app = FastAPI()


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@app.get("/")
def home():
    return {"greeting": greet("workspace"), "extra": installed("openpyxl"), "dev": installed("pytest")}


@app.post("/reports")
def report(rows: list[list[int]]):
    return {"table": tabulate(rows)}
