#!/bin/bash
# A language model, reasoners and Directors in one Slurm job. From the folder that holds examples/:
#   sbatch examples/slurm-llm.sh
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --time=02:00:00
#SBATCH --no-kill
#SBATCH --no-requeue
# What your site wants to know; remove one of the two '#' to use a line.
##SBATCH --account=ACCOUNT
##SBATCH --partition=QUEUE

cd "$SLURM_SUBMIT_DIR" || exit
# `director` and `vllm` must be in the search path: activate their environment here, or before you submit.
# source .venv/bin/activate

# The last node serves the model. The command after -- runs here, on the first node; its Directors have the others.
director serve examples/llm.yaml --run-dir "runs/llm-$SLURM_JOB_ID" -- \
  director reason --seed-molecule 'CNC(N)=O' --seed-molecule 'CC1=C(O)N=C(O)N1' --directors 2 \
  --run-dir "runs/reason-$SLURM_JOB_ID"
