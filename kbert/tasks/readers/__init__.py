"""Labelled files of every shape to examples."""
