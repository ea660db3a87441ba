"""What holds for every test."""

from hypothesis import settings

# How long an example takes depends on what else the machine does; time is measured in tests/bench and nowhere else.
settings.register_profile("ingot", deadline=None)
settings.load_profile("ingot")
