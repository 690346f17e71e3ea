"""The search for a placement of LayerNorm, block by block, by successive halving.

AutoTrans (arXiv 2009.02070) asks which of all placements, with and without scaled scores, is
best. Optuna proposes them one after another (its tree-structured Parzen estimator learns from those
before), and stops a run that is behind. What it knows lies in a database: stopped at any moment,
the next call proposes the same placement again, and its run goes on from its last save.

OUTPUT/search/HASH/study.db      Optuna's; `optuna-dashboard sqlite:///study.db` shows it
OUTPUT/search/HASH/run           the run that is under way
OUTPUT/search/HASH/log.txt       what the runs printed
"""

import contextlib
import dataclasses
import math
import pathlib
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tqdm import tqdm

from kbert.corpus.store import TokenStore
from kbert.engine.precision import PRECISIONS, dtype_policy
from kbert.errors import DataError, TrainingError
from kbert.laboratory.cells import pretraining_cell
from kbert.laboratory.grid import Found, Search
from kbert.pretraining.run import pretrain

if TYPE_CHECKING:
    import optuna

# Of each sub-layer: after, before, both, none.
_LETTERS = ("a", "b", "w", "n")
# Of the last, whose output is normalised whatever its letter says (`BertConfig.block_variants`): of
# two letters that are one model the search would learn half as much.
_LAST_LETTERS = ("a", "w")
_RUN, _LOG, _NAME = "run", "log.txt", "norm_placement"
# Placements of the report.
_SHOWN = 10
_BAR = "{desc} {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"


def check_optuna() -> None:
    """Raise `DataError` where the package optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise DataError('A search needs Optuna: pip install "kbert[search]".') from error


def search(what: Search, output: pathlib.Path, *, silent: bool = False) -> Found:
    """Try placements, or those that are missing, and say which is best.

    Raises `DataError` where every run became NaN; what its runs raise otherwise.
    """
    from optuna.trial import TrialState

    folder, storage, study = _opened(what, output)
    settings = what.settings
    hidden = True if silent else None  # None: where there is no terminal.
    with tqdm(total=settings.trials, desc="search", bar_format=_BAR, disable=hidden) as bar:
        while (done := len(_finished(study))) < settings.trials:
            bar.update(done - bar.n)
            # Of the number alone, so that a call that goes on proposes what this one would.
            study.sampler = _sampler(settings.seed + done)
            trial = _interrupted(study, storage)
            if trial is not None and "code" not in trial.user_attrs:
                # Ended while it was proposed: what is left would be drawn with other numbers.
                study.tell(trial, state=TrialState.FAIL)
                trial = None
            if trial is None:
                shutil.rmtree(folder / _RUN, ignore_errors=True)
                trial = study.ask()
            _try(study, trial, what, folder)
        bar.update(settings.trials - bar.n)
    return _found(study)


def found(what: Search, output: pathlib.Path) -> Found | None:
    """What a search has found; None where it is not at its end."""
    *_, study = _opened(what, output)
    return _found(study) if len(_finished(study)) >= what.settings.trials else None


def steps_left(what: Search, output: pathlib.Path) -> float:
    """About how many steps the placements take that are still to be tried."""
    *_, study = _opened(what, output)
    settings, last = what.settings, what.start.settings.num_steps
    steps, share, at = 0.0, 1.0, settings.first_steps
    before = 0
    while at < last:
        steps += share * (at - before)
        before, at, share = at, at * settings.reduction, share / settings.reduction
    steps += share * (last - before)
    return steps * max(settings.trials - len(_finished(study)), 0)


def _opened(what: Search, output: pathlib.Path):
    """-> the search's folder, Optuna's storage, its study."""
    import optuna
    import sqlalchemy

    settings = what.settings
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cell = pretraining_cell(what.start, settings.seed)
    how = {"first_steps": settings.first_steps, "reduction": settings.reduction}
    cell = cell._replace(inputs=cell.inputs | how | {"metric": settings.metric})
    folder = output / "search" / cell.key
    folder.mkdir(parents=True, exist_ok=True)
    url = sqlalchemy.URL.create("sqlite", database=str(folder / "study.db"))
    storage = optuna.storages.RDBStorage(url.render_as_string())
    study = optuna.create_study(
        storage=storage,
        study_name=_NAME,
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=settings.first_steps, reduction_factor=settings.reduction
        ),
        load_if_exists=True,
    )
    return folder, storage, study


def _sampler(seed: int) -> "optuna.samplers.BaseSampler":
    import optuna

    return optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=False)


def _interrupted(study, storage) -> "optuna.Trial | None":
    """The trial that a call before has begun and not ended, as it was."""
    from optuna.trial import Trial, TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        own = storage.get_study_id_from_name(_NAME)
        number = storage.get_trial_id_from_study_id_trial_number(own, trial.number)
        return Trial(study, number)
    return None


def _finished(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _found(study: "optuna.Study") -> Found:
    trials = _finished(study)
    ended = [trial for trial in trials if trial.value is not None and not _is_stopped(trial)]
    if not ended:
        raise DataError("No placement of the search came to its end: every run became NaN.")
    best = dict(sorted(((t.user_attrs["code"], t.value) for t in ended), key=lambda pair: pair[1]))
    return Found(len(trials), len(trials) - len(ended), list(best.items())[:_SHOWN])


def _is_stopped(trial: "optuna.trial.FrozenTrial") -> bool:
    from optuna.trial import TrialState

    return trial.state == TrialState.PRUNED


def _try(study, trial, what: Search, folder: pathlib.Path) -> None:
    """Run one placement to its end, or until it is behind."""
    from optuna.trial import TrialState

    code = _proposed(trial, what.start.config.num_layers)
    trial.set_user_attr("code", code)
    for before in _finished(study):
        if before.user_attrs["code"] == code:  # Nothing new would come of it.
            for step, value in before.intermediate_values.items():
                trial.report(value, step)
            study.tell(trial, None if _is_stopped(before) else before.value, before.state)
            return
    run = folder / _RUN
    try:
        value = _run(trial, code, what, run)
    except _Behind:
        study.tell(trial, state=TrialState.PRUNED)
    except TrainingError as error:
        if isinstance(error.__cause__, OSError):  # A full disk, which says nothing of the run.
            raise
        study.tell(trial, state=TrialState.PRUNED)
    else:
        if math.isfinite(value):
            study.tell(trial, value)
        else:
            study.tell(trial, state=TrialState.PRUNED)
    shutil.rmtree(run)


def _proposed(trial: "optuna.Trial", num_layers: int) -> str:
    codes = []
    for block in range(num_layers):
        letters = _LAST_LETTERS if block == num_layers - 1 else _LETTERS
        attention = trial.suggest_categorical(f"block {block}, attention", _LETTERS)
        feed_forward = trial.suggest_categorical(f"block {block}, feed-forward", letters)
        scaled = trial.suggest_categorical(f"block {block}, scaled", (True, False))
        codes.append(attention + feed_forward + ("" if scaled else "u"))
    return ",".join(codes)


class _Behind(Exception):
    """A run that the pruner stops."""


def _run(trial: "optuna.Trial", code: str, what: Search, run: pathlib.Path) -> float:
    """The score at the end of a run. Raises `_Behind` where it does not get there."""
    start, settings = what.start, what.settings
    reported = set(trial.study.trials[trial.number].intermediate_values)

    def compare(step: int, scores: Mapping[str, float]) -> None:
        if settings.metric not in scores:
            names = ", ".join(scores)
            raise DataError(f"metric must be one of {names}. Received: {settings.metric}.")
        if step not in reported:  # A run that goes on from its last save may say it again.
            trial.report(scores[settings.metric], step)
        if step < start.settings.num_steps and trial.should_prune():
            raise _Behind

    every = settings.first_steps
    log = run.parent / _LOG
    with open(log, "a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        print(f"placement {code}")
        with dtype_policy(PRECISIONS[start.settings.precision]):
            summary = pretrain(
                TokenStore(start.store),
                run,
                dataclasses.replace(start.config, norm_placement=code),
                dataclasses.replace(start.settings, seed=settings.seed),
                dataclasses.replace(start.schedule, validate_every=every, save_every=every, keep=1),
                on_scores=compare,
            )
    return summary["held_out"][settings.metric]
