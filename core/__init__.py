"""Ingot without a screen: the model, the tools, the engine, and what a user can ask for. Imports no Textual."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ingot")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
