"""Asyncio I/O of intercepted connections. Knows connections, not pods, namespaces or OpenTelemetry."""
