"""Settings of the test run: generated examples are the same in every run, and slow machines are no failure."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None, print_blob=False)
hypothesis.settings.load_profile("fixed")
