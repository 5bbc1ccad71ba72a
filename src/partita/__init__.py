"""Partita: a local music engine."""
