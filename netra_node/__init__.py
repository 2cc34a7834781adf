"""netra-node: traces, metrics and header routing for every opted-in pod of a node, from one process."""

__version__ = "0.1.0"
