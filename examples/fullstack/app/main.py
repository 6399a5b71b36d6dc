"""A web app with a database, a queue and uploads."""

import shutil
from pathlib import Path
from typing import Any

from database import Count, Picture, engine
from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.responses import FileResponse
from files import ORIGINALS, THUMBNAILS, original
from jobs import make_thumbnail
from sqlalchemy import select, text
from sqlalchemy.orm import Session

HERE = Path(__file__).resolve().parent
for directory in (ORIGINALS, THUMBNAILS):
    directory.mkdir(parents=True, exist_ok=True)

app = FastAPI(title="shop")


@app.get("/")
def page() -> FileResponse:
    return FileResponse(HERE / "pages/index.html")


@app.get("/health")
def health() -> dict[str, str]:
    """Report whether this process can serve requests: a release without access to the database gets no traffic."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return {"status": "ok"}


@app.post("/api/pictures", status_code=202)
def upload(file: UploadFile) -> dict[str, Any]:
    """Store the upload, and queue the job that creates its thumbnail."""
    with Session(engine) as session:
        picture = Picture(name=file.filename or "picture")
        session.add(picture)
        session.flush()
        with original(picture.id).open("wb") as stored:
            shutil.copyfileobj(file.file, stored)
        session.commit()
        make_thumbnail.delay(picture.id)
        return described(picture)


@app.get("/api/pictures/{number}")
def picture(number: int) -> dict[str, Any]:
    with Session(engine) as session:
        found = session.get(Picture, number)
        if found is None:
            raise HTTPException(404)
        return described(found)


@app.get("/api/pictures")
def pictures() -> list[dict[str, Any]]:
    with Session(engine) as session:
        return [described(each) for each in session.scalars(select(Picture).order_by(Picture.id.desc()).limit(20))]


@app.get("/api/counts")
def counts() -> list[dict[str, Any]]:
    """Return the counts of the scheduler, the newest first."""
    with Session(engine) as session:
        found = session.scalars(select(Count).order_by(Count.id.desc()).limit(20))
        return [{"pictures": each.pictures, "at": each.counted_at.isoformat()} for each in found]


def described(picture: Picture) -> dict[str, Any]:
    return {
        "id": picture.id,
        "name": picture.name,
        "state": picture.state,
        "width": picture.width,
        "height": picture.height,
        "thumbnail": f"/thumbnails/{picture.id}.webp" if picture.state == "ready" else None,
        "release": picture.release,
    }
