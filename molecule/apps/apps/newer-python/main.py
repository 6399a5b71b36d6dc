import sys

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def version():
    return {"python": sys.version_info[:2]}
