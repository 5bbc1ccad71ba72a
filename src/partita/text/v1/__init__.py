"""Lyrics as ACE-Step v1 reads them: language line by line, cleaned text, token ids."""
