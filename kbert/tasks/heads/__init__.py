"""From the encoder's vectors to a task's outputs."""
