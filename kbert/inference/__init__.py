"""Using a trained model: batch prediction, filling masks."""
