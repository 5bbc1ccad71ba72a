"""The networks of ACE-Step 1.5."""
