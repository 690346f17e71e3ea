"""Remedies for fine-tuning runs that fail: layer by layer, or against an adversary."""
