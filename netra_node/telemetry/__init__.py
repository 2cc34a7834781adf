"""Finished exchanges become spans, metrics and a graph. Knows no socket of a pod."""
