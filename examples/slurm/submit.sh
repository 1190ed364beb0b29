#!/bin/bash
# Submit a study to Slurm: an array job that makes its runs in parts, then a job that writes its
# tables. Submitted again, it makes what is missing.
#
#     bash examples/slurm/submit.sh STUDY.yaml OUT PARTS [OPTIONS OF SBATCH FOR THE PARTS]
#
# STUDY.yaml, OUT and the data must lie in folders that all nodes share.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: submit.sh STUDY.yaml OUT PARTS [OPTIONS OF SBATCH]" >&2
    exit 2
fi
study=$1 out=$2 parts=$3
shift 3
part=("$(dirname "$0")/part.sh" "$study" "$out" "$parts")
after=()
if grep -q '^tune:' "$study"; then
    # The settings of all runs are known when all rows are tuned.
    tuning=$(sbatch --parsable --array="1-$parts" "$@" "${part[@]}")
    after=(--dependency="afterok:${tuning%%;*}")
fi
array=$(sbatch --parsable --array="1-$parts" "${after[@]}" "$@" "${part[@]}")
# A part of which a run failed has an error, and the other runs are collected.
printf -v collect '%q ' fairexit study "$study" --out "$out" --collect
sbatch --parsable --job-name=fairexit-collect --dependency="afterany:${array%%;*}" --wrap="$collect"
