"""The state of a pre-training run on disk: written atomically, read back whole or not at all.

RUN/steps/00000500/     a kbert checkpoint (loadable by itself), and
    training.safetensors    the optimizer's variables, the step, the loss scale, and the weights
                            that training alone needs
"""

import pathlib

import keras

from kbert.checkpoints.directory import Checkpoint, checked, write
from kbert.checkpoints.weights import (
    check_arrays,
    map_weights,
    model_weights,
    read_arrays,
    write_arrays,
)
from kbert.engine.workers import array_of_chief, by_chief
from kbert.errors import DataError
from kbert.files import remove_folder, replacing_folder

STEPS = "steps"
STATE = "training.safetensors"
# The layer of this name is of training alone: the checkpoint has not its weights, but the state.
TRAINING_ONLY = "training_only"


@by_chief
def save_step(run: pathlib.Path, training_model, checkpoint: Checkpoint, keep: int) -> pathlib.Path:
    """Write the state after the current step and drop all before it but the newest `keep - 1`.

    Later saves, which were found damaged, stay until a save of their step takes their place.
    """
    training_model.synchronise()
    step = steps_done(training_model)
    folder = run / STEPS / f"{step:08d}"
    arrays = {
        name: keras.ops.convert_to_numpy(value) for name, value in _state(training_model).items()
    }
    with replacing_folder(folder) as temporary:
        write_arrays(temporary / STATE, arrays)
        write(temporary, checkpoint, others=[STATE])
    good = [path for path in saved_steps(run) if int(path.name) <= step]
    for old in good[:-keep]:
        remove_folder(old)
    return folder


def steps_done(training_model) -> int:
    """How many batches a model has seen, under MirroredStrategy too."""
    return int(keras.ops.convert_to_numpy(training_model.data_step))


def saved_steps(run: pathlib.Path) -> list[pathlib.Path]:
    """The folders of finished saves, oldest first."""
    return sorted(path for path in (run / STEPS).glob("[0-9]*") if _is_save(path))


def _is_save(path: pathlib.Path) -> bool:
    return path.is_dir() and path.name.isdecimal()  # Not a copy that a person made.


def last_save(run: pathlib.Path) -> str:
    """Where the newest save is, for messages."""
    return str(next(reversed(saved_steps(run)), "none: the run had not saved yet"))


def resume(run: pathlib.Path, training_model) -> tuple[int, list[str]]:
    """Load the newest save that reads back whole, in all workers the chief's.

    Returns the number of steps done, 0 where there is no save, and a sentence for each newer save
    that is damaged.
    """
    arrays = {}

    @by_chief
    def read_newest():
        complaints = []
        for folder in reversed(saved_steps(run)):
            try:
                arrays.update(_read(folder, training_model))
                return True, complaints
            except (DataError, OSError) as error:
                complaints.append(f"{folder} cannot be resumed: {error}")
        if complaints:
            raise DataError(" ".join(complaints))
        return False, complaints

    found, complaints = read_newest()
    variables = model_weights(training_model.model) | _state(training_model)
    for name, variable in variables.items() if found else ():
        variable.assign(array_of_chief(arrays.get(name), variable))
    return steps_done(training_model), complaints


def _read(folder: pathlib.Path, training_model) -> dict:
    """The arrays of a save. Raises DataError unless all are what was written, and fit."""
    state, path = _state(training_model), checked(folder, STATE)
    with read_arrays(path) as file:
        if set(file.keys()) != set(state):
            raise DataError(f"{path} is of another optimizer.")
        check_arrays(path, file, state)
        arrays = {name: file.get_tensor(name) for name in state}
    if int(arrays["data_step"]) != int(folder.name):
        raise DataError(f"{path} is of step {int(arrays['data_step'])}, and not of its folder's.")
    weights = model_weights(training_model.model).items()
    kept = {name: weight for name, weight in weights if name not in state}
    return arrays | map_weights(checked(folder, "model.safetensors"), kept)


def _state(training_model) -> dict:
    """Every variable that the next step depends on, besides the checkpoint's weights."""
    weights = model_weights(training_model.model).items()
    variables = {name: weight for name, weight in weights if name.startswith(f"{TRAINING_ONLY}/")}
    variables |= {
        f"optimizer/{index}": variable
        for index, variable in enumerate(training_model.optimizer.variables)
    }
    for name in ("data_step", "loss_scale", "finite_steps"):
        variables[name] = getattr(training_model, name)
    return variables
