"""The networks of ACE-Step v1."""
