"""Why something cannot be decided about an image version now: said before anything is asked."""

from typing import TYPE_CHECKING

from core.model.image import ImageState, ImageVersion

if TYPE_CHECKING:
    from tui.app import Ingot

NO_LEDGER = "The ledger of this workspace is not known here."


def why_not_deprecated(house: "Ingot", image: ImageVersion) -> str:
    """Why it cannot be deprecated; empty where it can."""
    effective = house.standing.effective(image, house.clock())
    if effective.stored is ImageState.REVOKED:
        return f"{image.role} {image.version} is revoked already: that is more than deprecated."
    return ""


def why_not_restored(house: "Ingot", image: ImageVersion) -> str:
    """Why there is nothing to take back; empty where there is."""
    effective = house.standing.effective(image, house.clock())
    if effective.inherited and effective.stored is not ImageState.REVOKED:
        return f"It is revoked only because {effective.inherited} is, which it is built on: restore that."
    if effective.because is None and effective.coming is None:
        return f"{image.role} {image.version} is {effective.state}: there is nothing to take back."
    return ""
