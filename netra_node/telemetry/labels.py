"""Label sets as text, the same in both metric formats. Belongs here: escaping. Does not belong here: which labels."""

from collections.abc import Mapping

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def label_text(labels: Mapping[str, str]) -> str:
    """Return `a="1",b="2"` with values escaped."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
