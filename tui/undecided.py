"""Why nothing can be decided about an image version now."""

from typing import TYPE_CHECKING

from core.model.image import ImageVersion

if TYPE_CHECKING:
    from tui.app import Ingot

NO_LEDGER = "The ledger of this workspace is not known here."


def why_not_restored(house: "Ingot", image: ImageVersion) -> str:
    """Why there is nothing to take back; empty where there is."""
    effective = house.standing.effective(image, house.clock())
    if effective.inherited and effective.stored.value != "revoked":
        return f"It is revoked only because {effective.inherited} is, which it is built on: restore that."
    if effective.because is None and effective.coming is None:
        return f"{image.role} {image.version} is {effective.state}: there is nothing to take back."
    return ""
