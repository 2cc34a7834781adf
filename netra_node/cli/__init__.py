"""One module per command. Reads settings, starts the loop, prints, returns exit codes; holds no product logic."""

from netra_node.cli.dispatch import main

__all__ = ["main"]
