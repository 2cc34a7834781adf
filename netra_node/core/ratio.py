"""A number 0..1 as people write it: a probability, a share. Belongs here: reading it."""

#: What `parse` takes, in words for an error message.
FORMAT = "a number, 0..1"


def parse(text: str) -> float:
    """Read a number 0..1. Raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        message = "not a number"
        raise ValueError(message) from None
    # written so that NaN, which compares with nothing, is out of range too
    if not 0 <= value <= 1:
        message = "out of range"
        raise ValueError(message)
    return value
