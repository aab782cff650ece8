#!/bin/bash
# Runs a campaign on the lead node of a Slurm job, beside its Directors, in as many jobs as it takes.
# From the folder that holds examples/:
#   job=$(sbatch --parsable examples/slurm-campaign.sh)
#   sbatch --dependency=afterany:$job examples/slurm-campaign.sh    # and so on
# Another campaign file and folder: sbatch examples/slurm-campaign.sh FILE DIR
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --time=00:30:00
#SBATCH --no-kill
#SBATCH --no-requeue
# For an end that Directors cannot know of, such as preemption. B: tells this script,
# which is `director` from its last line on.
#SBATCH --signal=B:USR1@60
# What your site wants to know; remove one of the two '#' to use a line.
##SBATCH --account=ACCOUNT
##SBATCH --partition=QUEUE

cd "${SLURM_SUBMIT_DIR:?start this with sbatch}" || exit
# source .venv/bin/activate

file=${1:-examples/campaigns/cu-au.yaml}
folder=${2:-runs/campaign}
if [ -e "$folder/campaign.json" ]; then
  exec director campaign resume "$folder"
else
  exec director campaign run "$file" --run-dir "$folder"
fi
