"""PyPICloud 2: a private Python package index."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pypicloud")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0"
