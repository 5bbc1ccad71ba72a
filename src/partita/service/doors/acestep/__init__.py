"""Door to clients of the ACE-Step 1.5 REST API: its paths, fields and answers, over the queue that every door uses.

What each field of that protocol becomes stands in `table`; see docs/doors/acestep.md. Importing this loads no HTTP.
"""

from __future__ import annotations

PORT = 8001
"""Where these clients look for a server."""

CORS_ORIGINS = ("local",)
"""Web pages that this protocol lets call: its clients are pages of this machine, such as a browser DAW."""

PUBLIC = frozenset({"/health", "/v1/models"})
"""Paths that need no token."""

BODY_TOKEN_PATHS = frozenset({"/release_task", "/query_result", "/create_random_sample", "/format_input"})
"""Paths whose body may carry the token as `ai_token`. An app that was given a `token` looks for it there itself, in the
body and in the header, and the wrapping may then treat them as public."""

TOKEN_VARIABLE = "ACESTEP_API_KEY"
"""Environment variable in which users of this protocol keep the token."""
