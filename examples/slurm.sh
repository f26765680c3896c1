#!/bin/bash
# Meta-training on 2 machines with 12 cores each, one rank per core:  sbatch examples/slurm.sh
# Not covered by the tests of this project; adapt it to your cluster. See docs/scale.md.
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
# 24 ranks share 24 shards; 1, 2, 3, 4, 6, 8 or 12 ranks would produce the same bits.
options=(mine.toml --out "$run" --threads 1 --set train.tasks=48 --set train.shards=24)
[ -e "$run/config.toml" ] && options+=(--resume)

# Two minutes before the time limit, Slurm sends SIGUSR1 to the ranks; l2o writes a checkpoint and exits with 143.
# If a rank is lost, all others exit with 75. In either case, the job is requeued and resumes.
srun --mpi=pmix --kill-on-bad-exit=1 l2o train "${options[@]}"
status=$?
case $status in 75 | 137 | 143) scontrol requeue "$SLURM_JOB_ID" ;; esac
exit "$status"
