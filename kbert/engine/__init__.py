"""The train step and its parts: TensorFlow or JAX, optimizers, devices, callbacks, saves."""
