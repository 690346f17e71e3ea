"""A model of a few weights with an objective, where each step can be worked out by hand."""

import keras
import numpy as np

from kbert.engine.backend import engine
from kbert.finetuning.remedies.adversarial import AdversarialTraining


def fit(model, dataset):
    """Train on a dataset in its order; the logs of every step, as floats."""
    history = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: history.append(logs))
    model.fit(dataset, verbose=0, shuffle=False, callbacks=[keep])
    return [{name: float(value) for name, value in logs.items()} for logs in history]


def squares(outputs, targets, weights):
    """The weighted sum of squared errors."""
    errors = keras.ops.square(keras.ops.cast(outputs["y"], "float32") - targets["y"])
    return {"loss": keras.ops.sum(errors * weights["y"])}


def linear(kernel=((1.0,), (2.0,)), **options):
    """y = x W + b under plain gradient descent of rate 1; `options` are TrainingModel's."""
    x = keras.Input((2,), name="x")
    model = keras.Model({"x": x}, {"y": keras.layers.Dense(1)(x)})
    model.set_weights([np.array(kernel), np.zeros(1)])
    return trained(model, squares, **options)


def batch(x, y=None, weights=None):
    """A batch for `linear`; by default the targets are 0 and the weights equal."""
    x = np.array(x, "float32")
    y = np.zeros((len(x), 1), "float32") if y is None else np.array(y, "float32")
    if weights is None:
        weights = np.full((len(x), 1), 1 / len(x))
    return {"x": x}, {"y": y}, {"y": np.array(weights, "float32")}


TABLE = np.array([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.5], [0.2, 0.4]], "float32")
KERNEL = np.array([[1.0], [-0.5]], "float32")


def embedded(radius, rate=1.0, steps=1, step_size=None, **options):
    """y = (sum of the ids' rows of TABLE) KERNEL, with an adversary, under gradient descent."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    table = keras.layers.Embedding(*TABLE.shape)
    vectors = keras.ops.sum(table(ids), axis=1)
    model = keras.Model({"ids": ids}, {"y": keras.layers.Dense(1, use_bias=False)(vectors)})
    model.set_weights([TABLE, KERNEL])
    training_model = AdversarialTraining(
        model, squares, table.embeddings, radius, steps, step_size, clip_norm=None, **options
    )
    training_model.compile(keras.optimizers.SGD(rate))
    return training_model


def ids_batch():
    """Four rows of three ids, targets and unequal weights, for `embedded`."""
    ids = np.array([[0, 1, 1], [2, 3, 0], [1, 2, 2], [3, 3, 3]])
    y = np.array([[0.5], [-1.0], [2.0], [0.0]], "float32")
    weights = np.array([[0.4], [0.1], [0.3], [0.2]], "float32")
    return {"ids": ids}, {"y": y}, {"y": weights}


def dropped(**options):
    """Two dropout layers whose masks can be read from the sums, 20 bits each.

    `first_a` is the mask of layer a summed over the rows with weight `first`; a batch of
    `selecting(...)` rows tells one row, so one replica or microbatch, from another.
    """
    x = keras.Input((20,), name="x")
    a = keras.layers.Dropout(0.5)(x)
    b = keras.layers.Dropout(0.5)(x)
    model = keras.Model({"x": x}, {"a": a, "b": b, "y": keras.layers.Dense(1)(a)})

    def objective(outputs, targets, weights):
        bits = keras.ops.convert_to_tensor(2.0 ** np.arange(20), "float32")
        sums = {"loss": keras.ops.sum(outputs["y"])}
        for who in ("first", "second"):
            for name in ("a", "b"):
                kept = keras.ops.cast(outputs[name] > 0, "float32")
                sums[f"{who}_{name}"] = keras.ops.sum(kept * bits * weights[who])
        return sums

    return trained(model, objective, **options)


def selecting():
    """Two rows: the first is counted in `first_*`, the second in `second_*`."""
    rows = np.eye(2, dtype="float32")[:, :, None]
    weights = {"first": rows[0], "second": rows[1]}
    return {"x": np.ones((2, 20), "float32")}, {"y": np.zeros((2, 1), "float32")}, weights


def trained(model, objective, rate=1.0, **options):
    training_model = engine().TrainingModel(model, objective, **{"clip_norm": None, **options})
    training_model.compile(keras.optimizers.SGD(rate))
    return training_model


def step(training_model, data):
    """One update on one batch; returns its logs."""
    logs = training_model.train_on_batch(*data, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def weights_of(training_model):
    return [keras.ops.convert_to_numpy(w).copy() for w in training_model.model.trainable_weights]
