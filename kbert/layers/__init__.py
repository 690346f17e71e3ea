"""Keras layers of BERT: keras and keras.ops only."""
