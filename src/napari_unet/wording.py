"""Numbers as people say them."""


def counted(number: int, noun: str = "object") -> str:
    """Return "1 object", "2,000 objects" and so on."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def lasting(seconds: float) -> str:
    """Return how long something will take, no closer than anybody can know."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 60:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 3600:
        return f"about {-(-seconds // 60):.0f} min"
    return f"about {seconds / 3600:.1f} h"
