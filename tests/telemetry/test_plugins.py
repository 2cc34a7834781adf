"""The specification of `netra_node.telemetry.plugins`, with what the OpenTelemetry SDK itself brings along."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from netra_node.telemetry.plugins import PluginError, installed_exporters, make_installed


def test_installed_exporters_are_known_by_name() -> None:
    names = installed_exporters()

    assert "console" in names
    assert list(names) == sorted(set(names))


def test_an_installed_exporter_is_made() -> None:
    assert isinstance(make_installed("console"), ConsoleSpanExporter)


def test_one_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(PluginError, match=r"^the exporter zipkin cannot be used: "):
        make_installed("zipkin")


def test_nothing_is_imported_until_somebody_asks() -> None:
    code = (
        "import sys, netra_node.telemetry.plugins;"
        "sys.exit(any(name in sys.modules for name in ('importlib.metadata', 'opentelemetry')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
