#!/bin/bash
# Meta-training on 2 machines of 12 cores, a rank a core:  sbatch examples/slurm.sh
# Not run by the tests of this project: adapt it to your cluster. docs/scale.md says more.
#SBATCH --job-name=l2o
#SBATCH --nodes=2
#SBATCH --ntasks=24
#SBATCH --cpus-per-task=1
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
set -u

run=runs/mine
# 24 ranks share 24 shards; 1, 2, 3, 4, 6, 8 or 12 of them would come to the same bits.
options=(mine.toml --out "$run" --threads 1 --set train.tasks=48 --set train.shards=24)
[ -e "$run/config.toml" ] && options+=(--resume)

# Two minutes before the end Slurm sends the ranks SIGUSR1, and l2o writes a checkpoint and ends with 143.
# Where a rank is lost, all others end, with 75. Either way the job goes back into the queue and resumes.
srun --mpi=pmix --kill-on-bad-exit=1 l2o train "${options[@]}"
status=$?
case $status in 75 | 137 | 143) scontrol requeue "$SLURM_JOB_ID" ;; esac
exit "$status"
