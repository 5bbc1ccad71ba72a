"""Settings of every test. Hypothesis takes the same examples in each run, so that a change that passes here passes
elsewhere; `HYPOTHESIS_PROFILE=search` looks for others, as `make test-long` does."""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
