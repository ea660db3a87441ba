"""Puts the parts together. Light to import: each part is loaded by whoever asks for it first."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.places import Places

if TYPE_CHECKING:
    from core.engine.client import Engine
    from core.services.building import Building
    from core.store.index import Index


def index(environ: Mapping[str, str]) -> "Index":
    """The index of this user's Ingot, its directories made where they are not there. Raises StoreError."""
    from core.store.index import Index

    places = Places.of(environ)
    places.create()
    return Index(places.index)


def engine(environ: Mapping[str, str]) -> "Engine":
    """The engine of this user's Ingot; starts nothing yet."""
    from core.engine.client import Engine

    return Engine(Places.of(environ))


def building(environ: Mapping[str, str]) -> "Building":
    """What a person can do about runs."""
    from core.services.building import Building

    return Building(Places.of(environ), environ)
