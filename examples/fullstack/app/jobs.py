"""The jobs of the app: `celery --app jobs worker` executes them, and `celery --app jobs beat` enqueues the scheduled ones."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_init
from database import Count, Picture, engine
from files import SHARED, original, thumbnail
from PIL import Image, UnidentifiedImageError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

# on a host, the code is in /srv/shop/releases/<id>/code
RELEASE = Path(__file__).resolve().parents[1].name
SIZE = (400, 400)

app = Celery("jobs", broker=os.environ["REDIS_URL"])
app.conf.update(
    # An unfinished job of a killed worker returns to the queue, so every job must be idempotent.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    # If a job runs longer than this, Redis also delivers it to another worker.
    broker_transport_options={"visibility_timeout": 3600},
    timezone="UTC",
    beat_schedule={"count-pictures": {"task": "jobs.count_pictures", "schedule": 60}},
    # the code is read-only
    beat_schedule_filename=str(SHARED / "celerybeat-schedule"),
)


@worker_process_init.connect
def use_own_connections(**_arguments: object) -> None:
    """Child processes must not use the database connections of their parent."""
    engine.dispose(close=False)


@app.task
def make_thumbnail(number: int) -> None:
    """Create the thumbnail of a picture. Running the job again replaces the thumbnail with an identical one."""
    with Session(engine) as session:
        picture = session.get_one(Picture, number)
        try:
            with Image.open(original(number)) as image:
                picture.width, picture.height = image.size
                image.thumbnail(SIZE)
                temporary = thumbnail(number).with_suffix(".new")
                image.save(temporary, "WEBP")
            # rename the finished file, so that nginx never serves a partial one
            temporary.replace(thumbnail(number))
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
            picture.state = "not a picture"
        else:
            picture.state = "ready"
        picture.release = RELEASE
        session.commit()


@app.task
def count_pictures() -> None:
    with Session(engine) as session:
        session.add(Count(pictures=session.scalar(select(func.count(Picture.id)))))
        session.commit()
