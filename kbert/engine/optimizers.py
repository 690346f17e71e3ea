"""BERT's optimizers and learning-rate schedule, on every backend."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kbert")
class BertAdam(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay (arXiv 1711.05101) on all weights but norms and biases.

    Args:
        learning_rate: a number or a schedule.
        weight_decay: share of a weight that a step takes off, times the learning rate. Norms and
            biases, the weights of one dimension, do not decay.
        beta_1, beta_2: how much of the running means of gradient and square a step keeps.
        epsilon: added to the root of the mean square; BERT's value is 1e-6.
        bias_correction: divide the running means by what they lack in early steps, as Adam does;
            False is BERT's own optimizer, which is unstable on small sets (arXiv 2006.05987).
        rate_factors: path of a weight -> what its learning rate is multiplied by; 1 for others.
        first_steps: path of a weight -> the step, from 0, from which it moves; 0 for others.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        weight_decay=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        bias_correction=True,
        rate_factors=None,
        first_steps=None,
        name="bert_adam",
        **kwargs,
    ):
        # Not handed to the base class, which would decay in a pass of its own over the weights.
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.decay = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.bias_correction = bias_correction
        self.rate_factors = rate_factors or {}
        self.first_steps = first_steps or {}

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.means, self.squares = self.add_optimizer_variables(variables, ["mean", "square"])
        self._factors = [self.rate_factors.get(variable.path, 1.0) for variable in variables]
        self._first_steps = [self.first_steps.get(variable.path, 0) for variable in variables]

    def update_step(self, gradient, variable, learning_rate, scale=1.0):
        """As any Keras optimizer's; the gradient is multiplied with `scale` on the way."""
        index = self._get_variable_index(variable)
        gradient, scale = (ops.cast(value, variable.dtype) for value in (gradient, scale))
        learning_rate = ops.cast(learning_rate, variable.dtype) * self._factors[index]
        if self._first_steps[index]:
            # The running means know its gradients, so that it begins as if it had moved all along.
            moves = ops.cast(self.iterations >= self._first_steps[index], variable.dtype)
            learning_rate = learning_rate * moves
        mean, square = self.means[index], self.squares[index]
        self._move(variable, mean, square, gradient, scale, learning_rate)

    def _move(self, variable, mean, square, gradient, scale, learning_rate):
        gradient = gradient * scale
        new_mean = mean + (gradient - mean) * (1 - self.beta_1)
        new_square = square + (ops.square(gradient) - square) * (1 - self.beta_2)
        self.assign(mean, new_mean)
        self.assign(square, new_square)
        mean_share, square_share = self._shares(variable.dtype)
        step = new_mean / mean_share / (ops.sqrt(new_square / square_share) + self.epsilon)
        if self._decays(variable):
            step = step + self.decay * variable
        self.assign_sub(variable, learning_rate * self._trust(variable, step) * step)

    def _decays(self, variable):
        return bool(self.decay) and len(variable.shape) > 1

    def _trust(self, variable, step):
        """What the learning rate of a weight is multiplied by."""
        return 1.0

    def _shares(self, dtype):
        """How much of the gradient's mean and mean square the running values hold by now."""
        if not self.bias_correction:
            return 1.0, 1.0
        step = ops.cast(self.iterations + 1, dtype)
        return 1 - ops.power(self.beta_1, step), 1 - ops.power(self.beta_2, step)

    def get_config(self):
        names = ("beta_1", "beta_2", "epsilon", "bias_correction", "rate_factors", "first_steps")
        return {
            **super().get_config(),
            "weight_decay": self.decay,
            **{name: getattr(self, name) for name in names},
        }


@keras.saving.register_keras_serializable("kbert")
class BertLamb(BertAdam):
    """LAMB (arXiv 1904.00962, algorithm 2): Adam's step, as long as the weight that it changes.

    It holds for batches of many thousand rows. The step of a weight, decay included, is multiplied
    by |weight| / |step|, or by 1 where one of them is 0. As in the paper's own code, norms and
    biases, which do not decay, take Adam's step as it is. Arguments: as `BertAdam`.

    Not `keras.optimizers.Lamb`: it decays weights apart from the step, so that the ratio misses it.
    """

    def _trust(self, variable, step):
        if len(variable.shape) < 2:
            return 1.0
        weight, length = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable, step))
        known = ops.logical_and(weight > 0, length > 0)
        return ops.where(known, weight / ops.where(known, length, 1.0), 1.0)


@keras.saving.register_keras_serializable("kbert")
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to `peak` over `warmup_steps`, then falls to 0 at `total_steps`, both in a line."""

    def __init__(self, peak, warmup_steps, total_steps):
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step):
        # Counted from 1, so that the first step is not lost at a rate of 0.
        step = ops.cast(step, "float32") + 1
        rise = step / max(self.warmup_steps, 1)
        fall = (self.total_steps + 1 - step) / max(self.total_steps + 1 - self.warmup_steps, 1)
        return self.peak * ops.maximum(0.0, ops.minimum(1.0, ops.minimum(rise, fall)))

    def get_config(self):
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }


@keras.saving.register_keras_serializable("kbert")
class SlantedTriangular(WarmupLinearDecay):
    """Rises and falls as `WarmupLinearDecay`, from and to a share of the peak instead of 0.

    ULMFiT's (arXiv 1801.06146, equation 3): with T steps of which the rate rises in the first
    `cut`, step t = 0 ... T - 1 has the rate

        peak (1 + p (ratio - 1)) / ratio,  p = t / cut, from there on 1 - (t - cut) / (T - cut)
    """

    def __init__(self, peak, warmup_steps, total_steps, ratio=32):
        super().__init__(peak, warmup_steps, total_steps)
        self.ratio = ratio

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rise = step / max(self.warmup_steps, 1)
        fall = (self.total_steps - step) / max(self.total_steps - self.warmup_steps, 1)
        share = ops.maximum(0.0, ops.where(step < self.warmup_steps, rise, fall))
        return self.peak * (1 + share * (self.ratio - 1)) / self.ratio

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}
