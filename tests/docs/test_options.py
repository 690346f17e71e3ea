"""docs/options.md is what the fields of the settings say.

`python -m tests.docs.test_options` writes it again.
"""

from kbert.checkpoints.conversion import ConversionSettings
from kbert.checkpoints.new import NewEncoder
from kbert.corpus.settings import (
    ExtensionSettings,
    PreparationSettings,
    Recipe,
    RunnerSettings,
    VocabularySettings,
)
from kbert.finetuning.settings import (
    EpochChoice,
    FeatureSettings,
    FinetuningSettings,
    Grid,
    Restarts,
    RowSettings,
)
from kbert.inference.settings import (
    AnswerSettings,
    ComputeSettings,
    FillMaskSettings,
    GenerationSettings,
    PerplexitySettings,
    PrecisionSettings,
    VectorSettings,
)
from kbert.laboratory.settings import AblationSettings, JudgeSettings
from kbert.metrics.settings import ConllSettings, NullOddsSettings
from kbert.model_settings import NewModel, PublishedSize
from kbert.pretraining.plan import Machine
from kbert.pretraining.settings import PretrainingSettings, Schedule
from kbert.serving.settings import ExportSettings, ServerSettings
from kbert.settings import options_table
from kbert.tasks import TASKS
from kbert.tasks.readers.bad_rows import BadRowSettings
from kbert.tasks.readers.glue import GlueFile
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "options.md"
BEGINNING = """# Options

The settings of the commands with their defaults, which are the defaults in Python too. What
is on is turned off by `--no-` before its name, as `--no-packing`. Files, folders, texts and a few
switches are in `kbert COMMAND --help`. This page is written from the settings' fields; a test
compares them.
"""
TABLES = {
    "kbert vocabulary": (VocabularySettings, RunnerSettings, ExtensionSettings),
    "kbert prepare": (Recipe, PreparationSettings, RunnerSettings),
    "kbert new": (NewEncoder,),
    "kbert plan": (Machine,),
    "kbert pretrain": (NewModel, PretrainingSettings, Schedule),
    "kbert finetune, for every task": (
        FinetuningSettings,
        RowSettings,
        BadRowSettings,
        EpochChoice,
        Restarts,
        FeatureSettings,
        GlueFile,
    ),
    **{f"kbert finetune {name}": (task,) for name, task in TASKS.items()},
    "kbert sweep, instead of finetune's": (Grid,),
    "kbert ablate": (AblationSettings,),
    "kbert judge": (JudgeSettings, PrecisionSettings),
    "kbert perplexity": (PerplexitySettings,),
    "kbert evaluate, predict": (ComputeSettings, BadRowSettings, GlueFile),
    "kbert predict": (AnswerSettings,),
    "kbert embed, similarity": (VectorSettings, ComputeSettings),
    "kbert fill-mask": (FillMaskSettings,),
    "kbert generate": (GenerationSettings, PrecisionSettings),
    "kbert convert": (ConversionSettings,),
    "kbert inspect": (PublishedSize,),
    "kbert export": (ExportSettings,),
    "kbert serve": (ServerSettings,),
    "kbert score squad": (NullOddsSettings,),
    "kbert score conll": (ConllSettings,),
}


def page() -> str:
    parts = [BEGINNING]
    for title, classes in TABLES.items():
        first, *others = (options_table(settings).splitlines() for settings in classes)
        rows = first + [row for other in others for row in other[2:]]
        parts += [f"## {title}\n", "\n".join(rows) + "\n"]
    return "\n".join(parts)


def test_the_page_is_what_the_fields_say():
    found = PAGE.read_text(encoding="utf-8")
    assert found == page(), "docs/options.md is old: python -m tests.docs.test_options"


def test_every_default_is_one_that_the_settings_take():
    for classes in TABLES.values():
        for settings in classes:
            settings()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
