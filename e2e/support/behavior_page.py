"""The parts of docs/behavior.md that the code knows better: `python -m e2e.support.behavior_page` writes them anew.

Belongs here: those parts. Does not belong here: what a person has to say.
"""

from typing import Final

from e2e.support.doc_page import DOCS, renewed
from netra_node.core.states import CLIENT_STEPS, SERVER_STEPS, Steps
from netra_node.settings import variables
from netra_node.settings.variables import Variable

PAGE: Final = DOCS / "behavior.md"

_LIMITS: Final[tuple[Variable[int], ...]] = (
    variables.MAX_HEAD_BYTES,
    variables.MAX_HEADERS,
    variables.MAX_PIPELINED,
    variables.MAX_BUFFERED_BYTES,
    variables.MAX_CONNECTIONS,
    variables.DRAIN,
)


def _steps(steps: Steps) -> str:
    rows = [
        f"| {before.name} | {event.value} | {then.name} |"
        for (before, event), then in steps.items()
    ]
    return "\n".join(["| state | what happens | then |", "| --- | --- | --- |", *rows, ""])


def _limits() -> str:
    rows = [f"| `{each.name}` | {each.default} | {each.meaning} |" for each in _LIMITS]
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *rows, ""])


def parts() -> dict[str, str]:
    """Every generated part by its name."""
    return {"client": _steps(CLIENT_STEPS), "server": _steps(SERVER_STEPS), "limits": _limits()}


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(), parts()))
