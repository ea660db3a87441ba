"""Ingot without a screen: the model, the tools, the engine, and what a user can ask for. Imports no Textual."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """`__version__`, read when asked for: that takes as long as everything else that a holder loads."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("ingot")
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "0+unknown"
