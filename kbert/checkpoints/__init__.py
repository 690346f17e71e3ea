"""Checkpoint directories: kbert's own format, in and out."""
