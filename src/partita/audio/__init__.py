"""Sound as arrays and files: read, write, resample, tag, make loud enough. Knows nothing of models or of torch."""
