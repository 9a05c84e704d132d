#!/bin/bash
#SBATCH --job-name=facenhance
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
#
# Trains on the GPUs of one or several nodes, a process for each GPU. In the checkout:
#
#   sbatch --nodes=2 launch/slurm.sh /shared/runs/mug --config=configs/mug.py [--config.train.batch_size=64 ...]
#
# The first argument is the run's folder, on a file system that all nodes share; the others go to launch/train.py. Three
# minutes before the time is up Slurm sends SIGTERM: the run saves a checkpoint, and the job queues itself again. Set
# PYTHON to use another interpreter than the python of the PATH.

set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "usage: sbatch launch/slurm.sh WORKDIR --config=configs/NAME.py [--config.FIELD=VALUE ...]" >&2
  exit 2
fi
cd "${SLURM_SUBMIT_DIR:-.}" # Slurm runs a copy of this file, from a folder of its own
if [[ ! -f launch/train.py ]]; then
  echo "slurm.sh: $PWD has no launch/train.py; call sbatch in the checkout" >&2
  exit 2
fi

stopped=
# srun passes the signal on to every process.
trap 'stopped=yes; kill -TERM "$step"' TERM

# A process that fails would leave the others waiting for it: let Slurm end them.
srun --kill-on-bad-exit=1 "${PYTHON:-python}" launch/train.py --workdir="$1" "${@:2}" &
step=$!
status=0
wait "$step" || status=$?
if [[ $stopped ]]; then
  status=0
  wait "$step" || status=$? # the signal ended only the first wait
  if [[ $status == 0 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
  fi
fi
exit "$status"
