"""What the train steps of all backends share."""

import keras
from keras import ops

from kbert.errors import DataError

_FIRST_LOSS_SCALE = 2.0**15
GROWTH_STEPS = 2000  # without an overflow, before the loss scale doubles
_MOST_GENERATORS, _MOST_DRAWS = 2**16, 2**10  # of a model, and of a generator in one pass


class BaseTrainingModel(keras.Model):
    """A model with its objective; `compile(optimizer)` and `fit` it like any Keras model.

    `fit` takes batches `(inputs, targets, weights)` whose weights sum to 1 over the global batch,
    so the sums of devices and of microbatches simply add up to those of the one big batch.

    A gradient that is not finite leaves the weights as they were. Under float16 the loss is
    multiplied by `loss_scale`, which halves at an overflow and doubles after 2,000 steps without
    one.

    Args:
        model: what is trained.
        objective: `(outputs, targets, weights) -> dict` of weighted sums, float32 scalars, with
            "loss" among them.
        clip_norm: longest gradient, over all weights together; None does not clip.
        accumulate: microbatches that a batch is split into, to save memory.
        seed: of dropout; its masks are a function of (seed, step, replica, microbatch).
        jit_step: compile the pass with XLA as a whole.
        jit_clusters: compile what lies between its matrix products, where the backend can, once for
            each shape of a batch.
    """

    counts = "int64"

    def __init__(
        self,
        model,
        objective,
        clip_norm=1.0,
        accumulate=1,
        seed=0,
        jit_step=False,
        jit_clusters=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.model = model
        self.objective = objective
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.seed = seed
        self.jit_step = jit_step
        self.jit_clusters = jit_clusters
        self.scales_loss = keras.config.dtype_policy().compute_dtype == "float16"
        self.data_step = self._counter("data_step", self.counts, 0)
        self.loss_scale = self._counter(
            "loss_scale", "float32", _FIRST_LOSS_SCALE if self.scales_loss else 1.0
        )
        self.finite_steps = self._counter("finite_steps", self.counts, 0)
        self._seed_states = [v for v in model.variables if "seed_generator_state" in v.path]
        self.built = True

    def _counter(self, name, dtype, value):
        return self.add_weight(
            name=name,
            dtype=dtype,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            # All replicas write the same value.
            aggregation="only_first_replica",
        )

    def compile(self, optimizer, **kwargs):
        # Keras's own loss scaling, automatic under float16, refuses to run outside the replicas.
        super().compile(optimizer=optimizer, auto_scale_loss=False, **kwargs)
        optimizer.build(self.model.trainable_variables)

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def synchronise(self) -> None:
        """Write the state of a running `fit` into the variables, if the backend keeps it apart."""

    def _moved(self, values):
        """(weight, value) of each weight that a pass sees otherwise than it is: none.

        Args:
            values: of all trainable weights.
        """
        return []

    def _states(self, number):
        """(variable, value) of each dropout generator, from (seed, generator, number of the pass).

        Derived instead of kept, so that replicas differ, and a resumed run draws what the run that
        was never stopped would have drawn.
        """
        states = []
        for index, state in enumerate(self._seed_states):
            first = (self.seed * _MOST_GENERATORS + index) % 2**32
            # A generator counts its draws in the second number.
            second = number * _MOST_DRAWS
            values = [ops.convert_to_tensor(first, "uint32"), ops.cast(second, "uint32")]
            states.append((state, ops.cast(ops.stack(values), state.dtype)))
        return states


def check_divides(batch_size: int, accumulate: int, devices: int) -> None:
    """Raises `DataError` for a batch that devices and microbatches cannot share evenly."""
    if batch_size % (devices * accumulate):
        raise DataError(
            "The batch size must be a multiple of devices x accumulate = "
            f"{devices} x {accumulate}. Received: {batch_size}."
        )
