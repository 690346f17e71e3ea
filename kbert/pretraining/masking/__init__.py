"""Which tokens a masked LM predicts: one file a rule."""
