"""What spans say, kept as files: `e2e/test_golden_spans.py` holds the encoders to them.

Belongs here: raw conversations, what their spans are once encoded and decoded again by somebody else's library. Does not
belong here: why a span says so (`netra_node/telemetry/spans.py`, `netramesh.py`).

`python -m e2e.golden` writes the files anew, one for each schema; every changed line of them is to be read by a person.
"""
