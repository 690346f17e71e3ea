"""The train step on TensorFlow: one optimizer update on one global batch, driven by `fit`."""

import keras
import tensorflow as tf

_FIRST_LOSS_SCALE = 2.0**15
_GROWTH_STEPS = 2000  # without an overflow, before the loss scale doubles
_MOST_GENERATORS, _MOST_DRAWS = 2**16, 2**10  # of a model, and of a generator in one pass


class TrainingModel(keras.Model):
    """A model with its objective; `compile(optimizer)` and `fit` it like any Keras model.

    `fit` takes batches `(inputs, targets, weights)` whose weights sum to 1 over the global batch,
    so the sums of replicas and of microbatches simply add up to those of the one big batch. Each
    replica's forward and backward pass is a function of its own (compiled by XLA with `jit_step`);
    the sum over replicas, the test that all is finite, clipping and the update stand outside,
    because Keras's own `jit_compile` fails under MirroredStrategy (keras issue 19809), and its
    optimizer clips before it reduces.

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
        jit_step: compile the pass with XLA.
    """

    def __init__(
        self, model, objective, clip_norm=1.0, accumulate=1, seed=0, jit_step=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.model = model
        self.objective = objective
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.seed = seed
        self.scales_loss = keras.config.dtype_policy().compute_dtype == "float16"
        self.data_step = self._counter("data_step", "int64", 0)
        self.loss_scale = self._counter(
            "loss_scale", "float32", _FIRST_LOSS_SCALE if self.scales_loss else 1.0
        )
        self.finite_steps = self._counter("finite_steps", "int64", 0)
        self._seed_states = [v for v in model.variables if "seed_generator_state" in v.path]
        self._differentiate = tf.function(self._microbatch, jit_compile=jit_step, autograph=False)
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

    def compile(self, optimizer):
        # Keras's own loss scaling, automatic under float16, refuses to run outside the replicas.
        super().compile(optimizer=optimizer, jit_compile=False, auto_scale_loss=False)
        optimizer.build(self.model.trainable_variables)

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def train_step(self, data):
        replica = tf.distribute.get_replica_context()
        gradients, sums = self._batch(data, replica)
        gradients, sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, (gradients, sums))
        norm = tf.linalg.global_norm(gradients) / self.loss_scale
        finite = tf.math.is_finite(norm)
        factor = 1 / self.loss_scale
        if self.clip_norm is not None:
            factor *= self.clip_norm / tf.maximum(norm, self.clip_norm)
        gradients = [gradient * factor for gradient in gradients]
        logs = {
            **sums,
            "gradient_norm": norm,
            "loss_scale": tf.identity(self.loss_scale.value),
            "learning_rate": tf.cast(self.optimizer.learning_rate, "float32"),
        }
        replica.merge_call(self._update, args=(gradients, finite))
        self._count(finite)
        return logs

    def test_step(self, data):
        inputs, targets, weights = data
        sums = self.objective(self.model(inputs, training=False), targets, weights)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, sums)

    def evaluate_sums(self, dataset) -> dict[str, float]:
        """The objective's sums over all batches of a dataset: means, where all weights sum to 1."""
        strategy = self.distribute_strategy
        step = tf.function(lambda data: strategy.run(self.test_step, args=(data,)), autograph=False)
        totals = {}
        for data in strategy.experimental_distribute_dataset(dataset):
            for name, value in step(data).items():
                value = strategy.experimental_local_results(value)[0]
                totals[name] = totals.get(name, 0.0) + float(value)
        return totals

    def _batch(self, data, replica, *move):
        """This replica's sums of gradients and of the objective, one microbatch after another.

        `move` is handed on to `_states`.
        """
        number = tf.cast(replica.replica_id_in_sync_group, "int64") * self.accumulate
        number += self.data_step.value * self.accumulate * replica.num_replicas_in_sync
        if self.accumulate == 1:
            return self._differentiate(data, number, self.loss_scale.value, *move)
        parts = tf.nest.map_structure(
            lambda x: tf.reshape(x, tf.concat([(self.accumulate, -1), tf.shape(x)[1:]], axis=0)),
            data,
        )
        totals = self._differentiate(
            tf.nest.map_structure(lambda x: x[0], parts), number, self.loss_scale.value, *move
        )

        def add(index, totals):
            part = tf.nest.map_structure(lambda x: x[index], parts)
            position = number + tf.cast(index, "int64")
            new = self._differentiate(part, position, self.loss_scale.value, *move)
            return index + 1, tf.nest.map_structure(tf.add, totals, new)

        _, totals = tf.while_loop(
            lambda index, _: index < self.accumulate, add, (1, totals), parallel_iterations=1
        )
        return totals

    def _microbatch(self, data, number, loss_scale, *move):
        inputs, targets, weights = data
        variables = [variable.value for variable in self.model.trainable_variables]
        with tf.GradientTape() as tape, keras.StatelessScope(self._states(number, *move)):
            sums = self.objective(self.model(inputs, training=True), targets, weights)
            loss = sums["loss"] * loss_scale
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], sums

    def _states(self, number):
        """Values that stand for those of variables in a pass: (variable, value) pairs.

        Dropout's generators start from (seed, generator, number of the pass).

        Derived instead of kept, so that replicas differ, and a resumed run draws what the run that
        was never stopped would have drawn.
        """
        states = []
        for index, state in enumerate(self._seed_states):
            first = self.seed * _MOST_GENERATORS + index
            # A generator counts its draws in the second number.
            second = number * _MOST_DRAWS
            states.append((state, tf.stack([tf.cast(x, state.dtype) for x in (first, second)])))
        return states

    def _update(self, strategy, gradients, finite):
        """Outside the replicas: one update of the mirrored weights, if all gradients are finite."""
        finite = strategy.experimental_local_results(finite)[0]

        # Not `optimizer.apply`, which works inside a replica only, and would add the gradients of
        # all replicas once more.
        def update(variable, gradient, learning_rate):
            self.optimizer.update_step(gradient, variable, learning_rate)

        def apply():
            learning_rate = self.optimizer.learning_rate
            for gradient, variable in zip(gradients, self.model.trainable_variables, strict=True):
                strategy.extended.update(
                    variable.value, update, args=(gradient, learning_rate), group=False
                )
            self.optimizer.iterations.assign_add(1)
            return True

        tf.cond(finite, apply, lambda: False)

    def _count(self, finite):
        self.data_step.assign_add(1)
        if not self.scales_loss:
            return
        steps = tf.where(finite, self.finite_steps.value + 1, 0)
        grown = tf.where(steps >= _GROWTH_STEPS, 2.0, 1.0)
        self.loss_scale.assign(self.loss_scale.value * tf.where(finite, grown, 0.5))
        self.finite_steps.assign(tf.where(steps >= _GROWTH_STEPS, tf.zeros_like(steps), steps))
