"""Any bytes may be typed or pasted: those that are no UTF-8 become replacement characters.

Textual 8.2.8 decodes its input strictly (drivers/linux_driver.py, run_input_thread), so one Latin-1 byte in a paste
ends the program. It is pinned; a test on a real terminal says when this is no longer needed.
"""

from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable
from functools import partial

from textual.drivers import linux_driver


def take_any() -> None:
    """From now on the driver replaces what it cannot decode. Call it before the app runs."""
    linux_driver.getincrementaldecoder = _forgiving  # pyright: ignore[reportPrivateImportUsage] - see above


def _forgiving(encoding: str) -> Callable[[], IncrementalDecoder]:
    return partial(getincrementaldecoder(encoding), errors="replace")
