"""Sound as arrays and files: read, write, resample, tag, make loud enough. Knows numpy only; nothing of models or songs' words."""
