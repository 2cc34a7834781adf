"""Hypothesis profiles; HYPOTHESIS_PROFILE picks one (`.ci/run`: ci; nightly: deep, with --timeout=0)."""

import os

from hypothesis import settings

settings.register_profile("fast", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("deep", max_examples=50_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
