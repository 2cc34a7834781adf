"""Prints the doctor's checks. Pure: checks in, lines out."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from netra_node.cli.doctor_checks import Check, Verdict
from netra_node.cli.style import Style

_WORDS = {
    Verdict.OK: "ok",
    Verdict.WARNING: "warning",
    Verdict.FAILED: "FAILED",
    Verdict.SKIPPED: "-",
}
_SUMS = {
    Verdict.OK: "ok",
    Verdict.WARNING: "to look at",
    Verdict.FAILED: "failed",
    Verdict.SKIPPED: "not tried",
}
_VERDICT_WIDTH = max(map(len, _WORDS.values()))
_WIDTH = 110


def passed(checks: Sequence[Check]) -> bool:
    """Tell whether pods can be captured here."""
    return not any(check.verdict is Verdict.FAILED for check in checks)


def render_checks(checks: Sequence[Check], style: Style) -> list[str]:
    """Return a line for each check; of one that is not ok also why it matters and how to mend it; last the sum."""
    width = max(len(check.what) for check in checks)
    lines = [line for check in checks for line in _check(check, width, style)]
    return [*lines, "", _sum(checks)]


def _check(check: Check, width: int, style: Style) -> list[str]:
    indent = " " * (_VERDICT_WIDTH + width + 4)
    verdict = _WORDS[check.verdict].ljust(_VERDICT_WIDTH)
    painted = style.red(verdict) if check.verdict is Verdict.FAILED else verdict
    first, *more = _wrapped(check.found, indent, "")
    lines = [f"{painted}  {check.what.ljust(width)}  {first}", *more]
    if check.mend:
        lines += [style.dim(line) for line in _wrapped(check.why, indent, "why:  ", whole=True)]
        lines += _wrapped(check.mend, indent, "mend: ", whole=True)
    return lines


def _wrapped(text: str, indent: str, label: str, *, whole: bool = False) -> list[str]:
    """Break `text` into lines behind `indent`; the first has none unless `whole`."""
    room = max(40, _WIDTH - len(indent))
    wrapper = textwrap.TextWrapper(
        width=room,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = wrapper.wrap(text) or [""]
    return [(indent if whole or number else "") + line for number, line in enumerate(lines)]


def _sum(checks: Sequence[Check]) -> str:
    counts = Counter(check.verdict for check in checks)
    parts = [f"{counts[verdict]} {_SUMS[verdict]}" for verdict in Verdict if counts[verdict]]
    outcome = "pods can be captured here" if passed(checks) else "pods cannot be captured like this"
    return f"{', '.join(parts)}: {outcome}"


def document(checks: Sequence[Check]) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "passed": passed(checks),
        "checks": [
            {
                "what": check.what,
                "verdict": check.verdict.value,
                "found": check.found,
                "why": check.why,
                "mend": check.mend,
            }
            for check in checks
        ],
    }
