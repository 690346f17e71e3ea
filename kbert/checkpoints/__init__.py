"""Checkpoint directories: kbert's own format, and published ones, in and out."""
