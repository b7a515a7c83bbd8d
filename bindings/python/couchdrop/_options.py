"""The keywords of `Client` as a type, to pass them on: ``**options: Unpack[ClientOptions]``."""

from __future__ import annotations

import os
from typing import Literal, TypedDict, Union

from ._client import Environment
from ._log import Logger

Proxy = Union[str, None, Environment]


class ClientOptions(TypedDict, total=False):
    """The keywords of `Client`, except `timeout`."""

    base_url: str | None
    ca_file: str | os.PathLike[str] | None
    proxy: Proxy
    body_format: Literal["auto", "form", "json"]
    connect_timeout: float | None
    max_retries: int | None
    backoff: tuple[float, float] | None
    user_agent: str | None
    max_response_bytes: int | None
    logger: Logger | None
