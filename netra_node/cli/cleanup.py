"""`netra-node cleanup`: removes what a dead daemon left. Belongs here: which namespaces, words, exit code. How: `netra_node.cleanup`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from netra_node import cleanup
from netra_node.cleanup import UNSEEN, Found
from netra_node.discovery.enrolment import netns_path
from netra_node.discovery.file_source import FileSource, PodsFileError
from netra_node.discovery.pod import Pod
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment
from netra_node.settings.formats import KUBELET
from netra_node.settings.model import SettingsError

_FAILED, _USAGE = 1, 2
_RUN_NETNS: Final = Path("/run/netns")


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "cleanup",
        help="remove what a dead daemon left in pods' network namespaces",
        description="A daemon that was killed leaves routing rules and routes in the pods it had captured; they do nothing, the "
        "next daemon takes them over, and this removes them. It looks into the namespaces that the file of NETRA_POD_SOURCE "
        "names (with the kubelet as the source: into all under /run/netns), and removes nothing at all while a living daemon holds any of them: then it says which process that is, "
        "with exit code 1. The host's own namespace is never touched.",
    )
    parser.add_argument(
        "--all", action="store_true", help="look into every namespace under /run/netns instead"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed")


def main(args: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    try:
        found = cleanup.look(_all_paths() if args.all else _paths_of_file())
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except PodsFileError as error:
        return _fail(str(error))
    except PermissionError:
        return _fail(
            "entering network namespaces needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run it as root"
        )
    except OSError as error:
        return _fail(str(error))
    if refusals := refused(found):
        print("\n".join(refusals), file=sys.stderr)
        return _FAILED
    return _remove(found, dry_run=args.dry_run)


def _remove(found: Sequence[Found], *, dry_run: bool) -> int:
    failed = False
    for one in found:
        try:
            if not dry_run and one.left.about:
                cleanup.remove(one)
        except OSError as error:
            failed = True
            print(f"{one.path}: {error}", file=sys.stderr)
        else:
            print("\n".join(told(one, dry_run=dry_run)))
    print(summary(found, dry_run=dry_run))
    return _FAILED if failed else 0


def refused(found: Sequence[Found]) -> list[str]:
    """Return who holds which namespaces, as lines; empty where nobody holds any."""
    holding = sorted({pid for one in found for pid in one.held_by})
    lines = [_holder(pid, [one.path for one in found if pid in one.held_by]) for pid in holding]
    return (
        [*lines, "nothing was removed: stop the daemon first, it removes its own"] if lines else []
    )


def _holder(pid: int, paths: Sequence[str]) -> str:
    who = "a process that cannot be seen from here" if pid == UNSEEN else f"process {pid}"
    return f"netra-node: {who} holds {', '.join(paths)}"


def told(found: Found, *, dry_run: bool) -> list[str]:
    """Return what was done, or would be, in one namespace."""
    if found.skipped:
        return [f"{found.path}: left alone, {found.skipped}"]
    verb = "would remove" if dry_run else "removed"
    return [f"{found.path}: {verb} {about}" for about in found.left.about] or [
        f"{found.path}: nothing of ours"
    ]


def summary(found: Sequence[Found], *, dry_run: bool) -> str:
    """Return the last line."""
    things = sum(len(one.left.about) for one in found)
    looked = sum(not one.skipped for one in found)
    where = f"{looked} namespace{'s' * (looked != 1)}"
    if not things:
        return f"nothing to remove in {where}"
    return f"{'would remove' if dry_run else 'removed'} {things} in {where}"


def _all_paths() -> list[str]:
    return sorted(map(str, _RUN_NETNS.iterdir())) if _RUN_NETNS.is_dir() else []


def _paths_of_file() -> list[str]:
    """Return every namespace the pods file names, also those of pods that no longer ask for capture."""
    env = Environment(os.environ)
    path = env.optional(v.POD_SOURCE)
    if path == KUBELET or (path is None and env.in_cluster):
        # it knows nothing of pods that are gone, whose namespaces may be left
        return _all_paths()
    if path is None and not env.problems:
        env.complain(
            v.POD_SOURCE.name,
            f" is not set; it takes {v.POD_SOURCE.format.takes}, or use --all",
        )
    if not isinstance(path, Path):
        raise SettingsError(tuple(env.problems))
    pods = (entry for entry in FileSource(path).pods if isinstance(entry, Pod))
    return sorted({netns for pod in pods if (netns := netns_path(pod))})


def _fail(message: str) -> int:
    print(f"netra-node: {message}", file=sys.stderr)
    return _FAILED
