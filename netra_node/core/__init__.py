"""Pure decisions: bytes, events and time in; bytes and records out. No I/O, no clock, no logging, no tasks."""
