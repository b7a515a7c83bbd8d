"""The codes as an enumeration, for users.

A separate module, because importing `enum` takes longer than importing this package. The rest of the package
uses integers.
"""

from __future__ import annotations

import enum

from . import _abi


class Code(enum.IntEnum):
    """The result of a call. `CouchdropError.code` may be another number: later versions may add codes."""

    CD_OK = _abi.CD_OK
    CD_ERR_HTTP_STATUS = _abi.CD_ERR_HTTP_STATUS
    CD_ERR_TWO_FACTOR_REQUIRED = _abi.CD_ERR_TWO_FACTOR_REQUIRED
    CD_ERR_ACCESS_DENIED = _abi.CD_ERR_ACCESS_DENIED
    CD_ERR_RATE_LIMITED = _abi.CD_ERR_RATE_LIMITED
    CD_ERR_SERVER = _abi.CD_ERR_SERVER
    CD_ERR_UNAVAILABLE = _abi.CD_ERR_UNAVAILABLE
    CD_ERR_NULL_ARGUMENT = _abi.CD_ERR_NULL_ARGUMENT
    CD_ERR_INVALID_UTF8 = _abi.CD_ERR_INVALID_UTF8
    CD_ERR_EMPTY_ARGUMENT = _abi.CD_ERR_EMPTY_ARGUMENT
    CD_ERR_OUT_OF_RANGE = _abi.CD_ERR_OUT_OF_RANGE
    CD_ERR_INVALID_URL = _abi.CD_ERR_INVALID_URL
    CD_ERR_INSECURE_URL = _abi.CD_ERR_INSECURE_URL
    CD_ERR_CA_FILE = _abi.CD_ERR_CA_FILE
    CD_ERR_OPTIONS_IN_USE = _abi.CD_ERR_OPTIONS_IN_USE
    CD_ERR_DNS = _abi.CD_ERR_DNS
    CD_ERR_CONNECT = _abi.CD_ERR_CONNECT
    CD_ERR_PROXY = _abi.CD_ERR_PROXY
    CD_ERR_TLS = _abi.CD_ERR_TLS
    CD_ERR_TIMEOUT = _abi.CD_ERR_TIMEOUT
    CD_ERR_CONNECTION_LOST = _abi.CD_ERR_CONNECTION_LOST
    CD_ERR_MALFORMED_RESPONSE = _abi.CD_ERR_MALFORMED_RESPONSE
    CD_ERR_RESPONSE_TOO_LARGE = _abi.CD_ERR_RESPONSE_TOO_LARGE
    CD_ERR_CANCELLED = _abi.CD_ERR_CANCELLED
    CD_ERR_PANIC = _abi.CD_ERR_PANIC
    CD_ERR_INTERNAL = _abi.CD_ERR_INTERNAL
    CD_ERR_RESOURCES = _abi.CD_ERR_RESOURCES
