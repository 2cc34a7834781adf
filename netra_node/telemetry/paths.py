"""Span names out of paths: the few kinds a service has, not the many it was asked for.

Belongs here: templates, the collapsing of ids, the limits on both, and what regular expressions for paths may cost. Does not belong here: targets and queries (`spans`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from netra_node.core.kept import keep

#: A regular expression never sees more of a path than this.
PATH_LIMIT = 512
#: Kinds of paths that spans of one pod are named after; those of any further kind are named by their method alone.
MAX_NAMES = 1000
#: Names remembered, so that a path seen before costs one look-up.
_REMEMBERED = 1024
#: What a pattern may cost on one path (`design.md` §5).
_SLOWEST_SECONDS = 0.001

_DIGIT = re.compile("[0-9]")
_ID = re.compile(
    "/(?:"
    "[0-9]+"
    "|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    "|(?=[a-fA-F]*[0-9])[0-9a-fA-F]{16,}"
    "|(?=[A-Z]*[0-9])[0-9A-HJKMNP-TV-Z]{26}"  # ULID: Crockford's base 32
    ")(?=/|$)"
)


@dataclass(frozen=True, slots=True)
class Template:
    """One rule of `NETRA_HTTP_PATH_TEMPLATES`: every match of `pattern` becomes `replacement` (`\\1` = group 1)."""

    pattern: re.Pattern[str]
    replacement: str


class PathNames:
    """Turns a raw path into the name of its kind. `collapse` replaces ids by `{id}` after the templates had their turn."""

    __slots__ = ("_collapse", "_names", "_templates")

    def __init__(self, templates: tuple[Template, ...] = (), *, collapse: bool = True) -> None:
        """Templates apply in order, each to what the one before it left."""
        self._templates = templates
        self._collapse = collapse
        self._names: dict[str, str] = {}

    @property
    def changes(self) -> bool:
        """Whether a path may get any other name than itself."""
        return self._collapse or bool(self._templates)

    def name(self, path: str) -> str:
        """Return the name of `path`, of which the first 512 characters are looked at."""
        known = self._names.get(path)
        return known if known is not None else self._work_out(path)

    def _work_out(self, path: str) -> str:
        name = path[:PATH_LIMIT]
        for template in self._templates:
            name = template.pattern.sub(template.replacement, name)[:PATH_LIMIT]
        if self._collapse and _DIGIT.search(name):
            name = _ID.sub("/{id}", name)
        return keep(self._names, path, name, _REMEMBERED)


class NamesInUse:
    """The names that spans of one pod have, at most `MAX_NAMES` in its lifetime: whoever invents words wins no more."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """No span named yet."""
        # hashes, as a name has up to 512 characters; the few of one hash count as one
        self._known: set[int] = set()

    def admit(self, name: str) -> bool:
        """Tell whether spans may be called so."""
        known = hash(name)
        if known not in self._known:
            if len(self._known) >= MAX_NAMES:
                return False
            self._known.add(known)
        return True


def parse_patterns(
    text: str, clock: Callable[[], float] = perf_counter
) -> tuple[re.Pattern[str], ...]:
    """Read `regexp;…`, each for whole paths. Raises ValueError naming the one that is malformed or too slow."""
    return tuple(_parse_pattern(rule.strip(), clock) for rule in text.split(";") if rule.strip())


def _parse_pattern(rule: str, clock: Callable[[], float]) -> re.Pattern[str]:
    if not rule.isprintable():
        message = f"{rule!r}: holds control characters"
        raise ValueError(message)
    try:
        pattern = re.compile(rule)
    except re.error as error:
        message = f"{rule!r}: {error}"
        raise ValueError(message) from None
    _refuse_slow(rule, pattern, pattern.fullmatch, clock)
    return pattern


def parse_templates(text: str, clock: Callable[[], float] = perf_counter) -> tuple[Template, ...]:
    """Read `regexp=>replacement;…`. Raises ValueError naming the rule that is malformed or too slow."""
    return tuple(_parse_template(rule.strip(), clock) for rule in text.split(";") if rule.strip())


def _parse_template(rule: str, clock: Callable[[], float]) -> Template:
    expression, arrow, replacement = rule.partition("=>")
    if not arrow or not expression.strip():
        message = f"{rule!r}: expected regexp=>replacement"
        raise ValueError(message)
    try:
        template = Template(re.compile(expression.strip()), replacement.strip())
        # Compiles the replacement too, whatever it is given: a bad group reference shows here.
        template.pattern.sub(template.replacement, "")
    except (re.error, IndexError) as error:
        message = f"{rule!r}: {error}"
        raise ValueError(message) from None
    _refuse_slow(
        rule,
        template.pattern,
        lambda path: template.pattern.sub(template.replacement, path),
        clock,
    )
    return template


def _refuse_slow(
    rule: str, pattern: re.Pattern[str], look: Callable[[str], object], clock: Callable[[], float]
) -> None:
    """Raise ValueError if to `look` at some path takes too long.

    The path grows one character at a time: what explodes is caught at its first millisecond, long before it would hang.
    """
    prefix = re.split(r"[\\^$.|?*+()\[\]{}]", pattern.pattern.lstrip("^"), maxsplit=1)[0]
    for filling in ("a", "1", "/a", "a-", "%2"):
        for length in range(1, PATH_LIMIT // len(filling)):
            path = (prefix + filling * length)[: PATH_LIMIT - 1] + "!"
            if _best_seconds(look, path, clock) > _SLOWEST_SECONDS:
                message = f"{rule!r}: takes over 1 ms on a path of {PATH_LIMIT} characters"
                raise ValueError(message)


def _best_seconds(look: Callable[[str], object], path: str, clock: Callable[[], float]) -> float:
    """Return the duration of one look; a suspiciously long one is repeated, as we may have been preempted."""
    best = _SLOWEST_SECONDS * 1000
    for _ in range(3):
        start = clock()
        look(path)
        best = min(best, clock() - start)
        if best <= _SLOWEST_SECONDS:
            break
    return best
