"""How many of something, in words."""


def amount(number: int, what: str) -> str:
    """A number of things with a regular plural.

    >>> amount(1, "port"), amount(1200, "package"), amount(0, "case")
    ('1 port', '1,200 packages', '0 cases')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
