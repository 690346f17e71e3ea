"""Which texts stand together in an example of pre-training: one file a rule."""
