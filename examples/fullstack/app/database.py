"""The tables of the app; the alembic migrations in migrations/ create them."""

import os
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import DateTime, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Replace connections that PostgreSQL has closed, for instance during an upgrade, before their next use.
engine = create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


class Picture(Base):
    """An uploaded picture. A worker creates its thumbnail."""

    __tablename__ = "pictures"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    state: Mapped[str] = mapped_column(default="queued")
    width: Mapped[int | None]
    height: Mapped[int | None]
    release: Mapped[str | None]
    uploaded_at: Mapped[datetime] = mapped_column(default=now)


class Count(Base):
    """The number of pictures at a point in time. The scheduler adds one row per minute."""

    __tablename__ = "counts"

    id: Mapped[int] = mapped_column(primary_key=True)
    pictures: Mapped[int]
    counted_at: Mapped[datetime] = mapped_column(default=now)
