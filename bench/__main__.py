"""The command: `python -m bench [--quick] [--json] [--only …] [--pin CPU] [--profile DIR]`.

Exit code 0 when every gating budget is met, 1 when one is missed or a part failed, 2 for usage.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine, report
from bench.daemon import netra_node
from bench.envoy import envoy_pair
from bench.nginx import DOWNLOAD
from bench.profile import profile
from bench.trial import Contender, Plan, Trial, direct, run_trial
from bench.waiting import BenchError
from bench.wrk import Load

_CONTENDERS: Mapping[str, Contender] = {
    report.DIRECT: direct,
    report.OURS: netra_node,
    report.PEER: envoy_pair,
}
_INTERRUPTED = 130
_PROFILE_LOAD = Load(connections=32, seconds=8)


@dataclass(frozen=True, slots=True)
class _Effort:
    """How long a run takes: rounds, and seconds of each load."""

    rounds: int
    seconds: int


_QUICK, _FULL = _Effort(rounds=1, seconds=2), _Effort(rounds=5, seconds=4)


def _plan(seconds: int) -> Plan:
    loads = {
        "one": Load(connections=1, seconds=seconds),
        "few": Load(connections=8, seconds=seconds),
        "many": Load(connections=32, seconds=seconds),
        # Shorter: every connection of it stays in TIME_WAIT for a minute.
        "close": Load(connections=8, seconds=seconds // 2, keep_alive=False),
        "download": Load(connections=1, seconds=seconds // 2, path=DOWNLOAD),
    }
    return Plan(loads, memory_load="many")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, for development")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", metavar="NAMES", help=f"of {','.join(_CONTENDERS)}")
    parser.add_argument("--pin", metavar="CPU", help="run each proxy on this CPU alone")
    parser.add_argument("--profile", metavar="DIR", type=Path, help="profile ours, nothing else")
    arguments = parser.parse_args(argv)
    arguments.names = arguments.only.split(",") if arguments.only else list(_CONTENDERS)
    if unknown := set(arguments.names) - _CONTENDERS.keys():
        parser.error(f"--only {','.join(sorted(unknown))}: takes {','.join(_CONTENDERS)}")
    return arguments


def _rounds(effort: _Effort, names: list[str], prefix: list[str]) -> list[dict[str, Trial]]:
    plan = _plan(effort.seconds)
    rounds = []
    for number in range(effort.rounds):
        # Rotated, so that nobody always runs first.
        turn = number % len(names)
        trials = {}
        for name in names[turn:] + names[:turn]:
            _say(f"round {number + 1}/{effort.rounds}: {name}")
            trials[name] = run_trial(_CONTENDERS[name], plan, prefix)
        rounds.append({name: trials[name] for name in names})
    return rounds


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _compare(arguments: argparse.Namespace) -> int:
    effort = _QUICK if arguments.quick else _FULL
    prefix = ["taskset", "--cpu-list", arguments.pin] if arguments.pin else []
    about = machine.describe() | {
        "rounds": f"{effort.rounds} of {effort.seconds:g} s loads",
        "proxies pinned to CPU": arguments.pin or "none",
    }
    judged = report.lines(_rounds(effort, arguments.names, prefix))
    if arguments.json:
        result = {"run": about, "rows": report.as_json(judged), "passed": report.passed(judged)}
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        said = "\n".join(f"{name}: {value}" for name, value in about.items())
        sys.stdout.write(f"{said}\n\n{report.table(judged)}\n")
    return 0 if report.passed(judged) else 1


def main(argv: Sequence[str]) -> int:
    """Run what `argv` asks for; return the exit code."""
    arguments = _arguments(argv)
    try:
        if arguments.profile:
            for line in profile(arguments.profile, _PROFILE_LOAD):
                sys.stdout.write(line + "\n")
            return 0
        return _compare(arguments)
    except BenchError as error:
        _say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        _say("bench: interrupted; everything it made is removed")
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
