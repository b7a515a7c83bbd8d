from ._abi import library

__version__ = "1.0.0"


def library_version() -> str:
    """Returns the version of the loaded shared library, for instance "1.0.0"."""
    version: bytes = library.cd_version()
    return version.decode()
