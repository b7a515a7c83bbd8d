"""The pytest plugin `couchdrop`, which pytest loads if this package is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .testing import FakeServer


@pytest.fixture
def couchdrop_server() -> Iterator[FakeServer]:
    """A fake server of the service for one test: see `couchdrop.testing`."""
    with FakeServer() as server:
        yield server
