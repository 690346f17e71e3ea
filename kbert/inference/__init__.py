"""Using a trained model: answers, masks filled, vectors."""
