"""The renderer of ACE-Step 1.5: words, sources and references to conditions, noise to latents, latents to audio."""
