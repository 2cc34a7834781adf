"""Command lines as an ordinary user types them, and as one whom the kernel allows no namespaces; util-linux is enough.

Belongs here: prefixes for a command line. Whoever runs the tests, root or an ordinary user in a user namespace, gets one that
takes the privileges away for real.
"""

import shlex
import sys
from pathlib import Path
from typing import Final

#: Debian's `nobody`.
UID: Final = 65534
_CHECKOUT: Final = Path(__file__).parents[2]
#: What the command line takes: the interpreter, the packages, the code.
_NEEDED: Final = (Path(sys.base_prefix), Path(sys.prefix), _CHECKOUT)
_NO_CAPABILITIES: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
_NOBODY: Final = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")


def as_ordinary_user(stage: Path) -> list[str]:
    """The prefix; `stage` is a directory for its mounts, which nobody else sees and which go with the process."""
    if not _is_mapped(UID):
        # Inside an ordinary user's namespace there is no second user, but this one can be called by another number.
        return ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    script = "\n".join(["set -e", *_uncover(_NEEDED, stage), f'exec {shlex.join(_NOBODY)} "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def where_the_kernel_forbids_it() -> list[str]:
    """The prefix of a process without capabilities in a user namespace whose own limit of user namespaces is none."""
    limit = "/proc/sys/user/max_user_namespaces"
    script = f'echo 0 > {limit} && exec {shlex.join(_NO_CAPABILITIES)} "$@"'
    return ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]


def _is_mapped(uid: int) -> bool:
    ranges = [
        map(int, line.split()) for line in Path("/proc/self/uid_map").read_text().splitlines()
    ]
    return any(first <= uid < first + count for first, _, count in ranges)


def _uncover(paths: tuple[Path, ...], stage: Path) -> list[str]:
    """Shell lines after which `paths` can be reached by everybody: Python is often installed in root's home."""
    hidden = [path for path in sorted(paths) if _closed(path)]
    lines = []
    for number, path in enumerate(hidden):
        here = shlex.quote(str(stage / str(number)))
        lines += [f"mkdir -p {here}", f"mount --bind {shlex.quote(str(path))} {here}"]
    for closed in sorted({str(_closed(path)) for path in hidden}):
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(closed)}")
    for number, path in enumerate(hidden):
        there, here = shlex.quote(str(path)), shlex.quote(str(stage / str(number)))
        lines += [f"mkdir -p {there}", f"mount --bind {here} {there}"]
    return lines


def _closed(path: Path) -> Path | None:
    """The directory nearest to the root on the way to `path` that others may not pass."""
    return next((p for p in reversed(path.parents) if not p.stat().st_mode & 0o001), None)
