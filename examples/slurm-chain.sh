#!/bin/bash
# Works on a batch in as many Slurm jobs as it takes. From the folder that holds examples/:
#   job=$(sbatch --parsable examples/slurm-chain.sh)
#   sbatch --dependency=afterany:$job examples/slurm-chain.sh    # and so on
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --time=00:30:00
#SBATCH --no-kill
#SBATCH --no-requeue
# The Directors know when the job ends. This is for an end that they cannot know of,
# such as preemption. B: tells this script, which is `director` from its last line on.
#SBATCH --signal=B:USR1@60
# What your site wants to know; remove one of the two '#' to use a line.
##SBATCH --account=ACCOUNT
##SBATCH --partition=QUEUE

cd "$SLURM_SUBMIT_DIR" || exit
# source .venv/bin/activate

run=runs/chain
if [ -e "$run/run.json" ]; then
  exec director run --resume "$run"
else
  exec director run examples/batch.yaml --run-dir "$run"
fi
