"""`netra-node run`: the daemon. Belongs here: settings, limits of the process, the loop, the exit code."""

import argparse
import logging
import os
import sys
from typing import Any

import uvloop

from netra_node import logs
from netra_node.admin.listener import ListenError
from netra_node.app import App
from netra_node.capacity import pods_within, raise_descriptor_limit
from netra_node.discovery.source import SourceError
from netra_node.interception.slots import Slots
from netra_node.settings.model import Settings, SettingsError
from netra_node.telemetry.plugins import PluginError
from netra_node.watchdog import Watchdog

_log = logging.getLogger(__name__)

_FAILED, _USAGE = 1, 2

_SERVICE_NAME = "JAEGER_SERVICE_NAME"


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "run",
        help="capture this node's pods until told to stop",
        description="Captures the pods that NETRA_POD_SOURCE names and runs until SIGTERM or SIGINT. Everything else is set by "
        "environment variables (NETRA_*, OTEL_*, JAEGER_*); every bad one is named at once, exit code 2.",
    )
    parser.add_argument(
        "--service-name",
        "-service-name",  # Go's flags take one dash, too
        metavar="TEMPLATE",
        help="what services are called, for example {namespace}.{workload}; overrides JAEGER_SERVICE_NAME",
    )


def main(args: argparse.Namespace) -> int:
    """Run the daemon and return its exit code."""
    # before anything else is opened: these must be the lowest descriptors of the process
    slots = Slots(pods_within(raise_descriptor_limit()))
    environment = dict(os.environ)
    if args.service_name is not None:
        environment[_SERVICE_NAME] = args.service_name
    try:
        settings = Settings.from_env(environment)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    logs.configure(settings.log_level, settings.log_format)
    for warning in settings.warnings:
        _log.warning(warning)
    try:
        watchdog = Watchdog(settings.watchdog_ms / 1000)
        uvloop.run(App(settings, slots, watchdog).run())
    except (ListenError, SourceError, PluginError) as error:
        print(f"netra-node: {error}", file=sys.stderr)
        return _FAILED
    return 0
