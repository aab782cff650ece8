#!/bin/bash
# Runs a batch on the nodes of a Slurm job. From the folder that holds examples/: sbatch examples/slurm.sh
# As many nodes as the batch file says under `nodes`. Leave `nodes` out there, and any number will do.
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --time=00:30:00
# Without --no-kill, Slurm ends the whole job when one node dies. With it, the other nodes work on.
#SBATCH --no-kill
# A job that Slurm starts a second time would find its run folder taken.
#SBATCH --no-requeue
# What your site wants to know; remove one of the two '#' to use a line.
##SBATCH --account=ACCOUNT
##SBATCH --partition=QUEUE
##SBATCH --gpus-per-node=4

cd "$SLURM_SUBMIT_DIR" || exit
# `director` must be in the search path: activate its environment here, or before you submit.
# source .venv/bin/activate

# No srun: this runs once, on the job's first node, and starts what the others need by itself.
director partitions examples/batch.yaml
director run examples/batch.yaml --run-dir "runs/slurm-$SLURM_JOB_ID"
