#!/usr/bin/env bash
# A command on several nodes of Slurm, one worker a node, which takes all of its GPUs.
#
#     sbatch docs/examples/slurm.sh kbert pretrain store --output runs/base
#
# From the folder of a checkout. Two minutes before the end of its time the run saves and stops; the
# same line goes on.
#SBATCH --job-name=kbert
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --signal=TERM@120
set -euo pipefail
port=$((20000 + SLURM_JOB_ID % 20000))
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# The shell of each task, not this one, knows the task's number.
# shellcheck disable=SC2016
exec srun --kill-on-bad-exit=0 --label bash -c 'exec docs/examples/worker.sh "$SLURM_PROCID" "$@"' \
  worker "${hosts[@]/%/:$port}" -- "$@"
