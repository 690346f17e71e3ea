"""What a pre-training run would take: operations, hours, memory, input, money. Nothing is trained.

    kbert plan --preset base --devices 8 --chip h100 --num-steps 70000 --batch-size 4096
    kbert plan --preset large --devices 64 --chip a100 --then 900000:256x512 --price 2.5 ...

The options of the run are those of `kbert pretrain` but for files, logs, scores and saves, and
--vocabulary-size says how many pieces; those of the chips come first. An estimate stands on
--utilisation, the share of the chips' peak rate that the matrix products reach: NVIDIA's own BERT-
large reaches 0.32 to 0.45 of an A100's. Memory and hours are of --precision bfloat16, but for the
hours of --chip cpu, which were measured in float32. Below stand published runs, their hours and
what the same rows would take on these chips.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.model_settings import NewModel
    from kbert.pretraining.plan import Machine
    from kbert.pretraining.settings import PretrainingSettings
    from kbert.settings import add_options

    for settings in (Machine, NewModel, PretrainingSettings):
        add_options(parser, settings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.model_settings import NewModel
    from kbert.pretraining.objectives import OBJECTIVES
    from kbert.pretraining.plan import MEASURED_INPUT, Machine, beside, plan
    from kbert.pretraining.settings import PretrainingSettings
    from kbert.settings import from_options

    machine, new = from_options(Machine, args), from_options(NewModel, args)
    settings = from_options(PretrainingSettings, args)
    new = new.directed(OBJECTIVES[settings.objective].direction)
    config = new.config(machine.vocabulary_size)
    found = plan(config, settings, machine)
    without, with_ = (f"{size / 1e9:.1f} GB" for size in found.memory)
    seconds = ", ".join(f"{value:.3f}" for value in found.step_seconds)
    bits = "in float32" if machine.chip == "cpu" else "in 16 bits"
    rows = {
        "parameters": f"{found.parameters:,}",
        "steps": f"{found.steps:,} of {seconds} s",
        "tokens": f"{found.tokens:.3g}",
        "operations": f"{found.flop:.3g}",
        "hours": f"{found.hours:,.1f} on {machine.devices} x {machine.chip}, {bits}",
        "memory of a chip": f"{without}, rematerialised {with_}, in 16 bits",
        "store": f"{found.store_bytes / 1e9:.2f} GB",
        "input": f"{found.input_rate / 1e6:.1f} M tokens/s; a run draws "
        f"{MEASURED_INPUT / 1e6:.1f} M (measured)",
    }
    if found.cost is not None:
        rows["cost"] = f"{found.cost:,.2f}"
    for name, value in rows.items():
        print(f"{name:<18}{value}")
    print(f"\n{'published':<28}{'chips':<14}{'hours':>7}{'of the peak':>13}{'here':>9}")
    for run_, hours, share in beside(machine):
        known = ("", "") if hours is None else (f"{share:.0%}", f"{hours:.1f}")
        chips = f"{run_.devices} x {run_.chip}"
        print(f"{run_.name:<28}{chips:<14}{run_.hours:>7}{known[0]:>13}{known[1]:>9}")


if __name__ == "__main__":
    sys.exit(run_command("plan", sys.argv[1:]))
