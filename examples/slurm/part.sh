#!/bin/bash
# A task of the array job that submit.sh submits: it makes one part of a study.
#SBATCH --job-name=fairexit
#SBATCH --cpus-per-task=2
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
set -euo pipefail
study=$1 out=$2 parts=$3
exec fairexit study "$study" --out "$out" --part "$SLURM_ARRAY_TASK_ID/$parts" \
    --threads "${SLURM_CPUS_PER_TASK:-1}"
