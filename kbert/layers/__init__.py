"""Keras layers of BERT: keras and keras.ops only."""

# The logit of what cannot be: a class that a row does not have, a token that is not seen. Nothing
# beside any other logit; finite, so that a row of nothing else gives no NaN.
IMPOSSIBLE = -1e9
