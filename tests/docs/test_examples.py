"""The scripts that start workers: what each worker is told, as its own process reads it."""

import json
import os
import shutil
import subprocess

import pytest
import yaml

from kbert.engine.cluster import Cluster, parse
from tests.conftest import ROOT

EXAMPLES = ROOT / "docs" / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))


@pytest.fixture
def commands(tmp_path):
    """A PATH on which kbert prints what it is told, and Slurm's commands do so on this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {
        "kbert": 'echo "$TF_CONFIG"; echo "$@"',
        "scontrol": "printf 'one\\ntwo\\n'",
        "srun": 'shift 2; for number in 0 1; do SLURM_PROCID=$number "$@"; done',
    }.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def workers(command, environment, **more):
    """The cluster of each worker that a command starts, and what it is to run."""
    result = subprocess.run(
        command, env={**environment, **more}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    return [parse(line) for line in lines[::2]], set(lines[1::2])


def test_by_hand(commands):
    script = [EXAMPLES / "worker.sh", "1", "one:12345", "two:12345", "--", "kbert", "plan", "a b"]
    assert workers(script, commands) == ([Cluster(("one:12345", "two:12345"), 1)], {"plan a b"})


def test_slurm(commands):
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "one,two"}
    script = [EXAMPLES / "slurm.sh", "kbert", "pretrain", "store"]
    addresses = ("one:20007", "two:20007")
    expected = [Cluster(addresses, 0), Cluster(addresses, 1)]
    assert workers(script, commands, **slurm) == (expected, {"pretrain store"})


def test_kubernetes(commands):
    service, job = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))
    name, spec = job["metadata"]["name"], job["spec"]
    assert service["metadata"]["name"] == spec["template"]["spec"]["subdomain"] == name
    addresses = tuple(f"{name}-{i}.{name}:12345" for i in range(spec["completions"]))
    command = spec["template"]["spec"]["containers"][0]["command"]
    for index in range(spec["completions"]):
        found, run = workers(command, commands, JOB_COMPLETION_INDEX=str(index))
        assert found == [Cluster(addresses, index)]
        assert run == {"pretrain /data/store --output /data/runs/base"}


def test_kubeflow():
    """Its operator adds names of its own to TF_CONFIG."""
    job = yaml.safe_load((EXAMPLES / "tfjob.yaml").read_text(encoding="utf-8"))
    kinds = job["spec"]["tfReplicaSpecs"]
    assert set(kinds) == {"Chief", "Worker"}
    containers = [kind["template"]["spec"]["containers"] for kind in kinds.values()]
    assert [container["name"] for [container] in containers] == ["tensorflow"] * 2
    told = {
        "cluster": {"chief": ["kbert-chief-0.d.svc:2222"], "worker": ["kbert-worker-0.d.svc:2222"]},
        "task": {"type": "worker", "index": 0},
        "environment": "cloud",
    }
    assert parse(json.dumps(told)).index == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck(script):
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck: pip install -r requirements-dev.txt")
    found = subprocess.run(["shellcheck", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
