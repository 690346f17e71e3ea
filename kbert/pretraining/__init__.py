"""Pre-training on a token store: rows, maskings, objectives, the run."""
