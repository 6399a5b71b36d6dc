"""What every unit test shares."""

from __future__ import annotations

from hypothesis import settings

# a slow or busy machine is no failure
settings.register_profile("default", deadline=None)
settings.load_profile("default")
