"""The renderer of ACE-Step v1: words and sources to conditions, noise to latents, latents to audio."""
