"""`netra-node config`: the settings in force and where they came from. Belongs here: reading, exit code, no layout."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from netra_node.cli.config_report import document, effective, markdown, render_settings
from netra_node.cli.style import style_for
from netra_node.settings.environment import Environment
from netra_node.settings.model import Settings, SettingsError
from netra_node.settings.variables import SERVICE_NAME, VARIABLES

_USAGE = 2


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "config",
        help="show the settings that are in force and where they came from",
        description="Reads the settings as `netra-node run` would and shows each with its source: default, environment, alias or "
        "flag. Secrets are hidden. Exit code 2: `run` would not start with them; what is wrong is named on stderr.",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one object: settings, problems, warnings"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the page docs/configuration.md instead"
    )
    parser.add_argument(
        "--service-name", "-service-name", metavar="TEMPLATE", help="as `run` takes it"
    )


def main(args: argparse.Namespace) -> int:
    """Show them and return the exit code."""
    if args.markdown:
        print(markdown(), end="")
        return 0
    flags = {} if args.service_name is None else {SERVICE_NAME.name: args.service_name}
    problems, warnings = _judge({**os.environ, **flags})
    settings = effective(os.environ, args.service_name)
    if args.json:
        print(json.dumps(document(settings, problems, warnings), indent=2))
    else:
        print("\n".join(render_settings(settings, style_for(sys.stdout, os.environ))))
        sys.stdout.flush()  # where both go to one terminal, what is wrong stands last
        for line in (
            *(f"error: {one}" for one in problems),
            *(f"warning: {one}" for one in warnings),
        ):
            print(line, file=sys.stderr)
    return _USAGE if problems else 0


def _judge(mapping: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return what is wrong, and what is odd."""
    try:
        return [], list(Settings.from_env(mapping).warnings)
    except SettingsError as error:
        env = Environment(mapping)
        env.warn_of_unknown(VARIABLES)  # a name that is mistyped is often why another is missing
        return [str(problem) for problem in error.problems], env.warnings
