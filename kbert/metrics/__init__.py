"""Scores by the official rules, in plain Python and NumPy."""
