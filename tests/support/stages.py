"""The stages of a run that registers what it built and does nothing else: what the pipeline has beside is tested by
itself."""


def plain_stages(builds: tuple[str, ...]) -> tuple[str, ...]:
    return ("checkout", "upstream", "validate", *(f"build/{build}" for build in builds), "register")
