#!/bin/bash
# Runs a batch on the nodes of a PBS job. From the folder that holds examples/: qsub examples/pbs.sh
# As many nodes as the batch file says under `nodes`. Leave `nodes` out there, and any number will do.
# ncpus is what each node has at your site.
#PBS -l select=4:ncpus=2
#PBS -l place=scatter:excl
#PBS -l walltime=00:30:00
# Without this, PBS ends the whole job when one node dies. With it, the other nodes work on.
#PBS -W tolerate_node_failures=all
# A job that PBS starts a second time would find its run folder taken.
#PBS -r n
#PBS -j oe
# What your site wants to know; remove one of the two '#' to use a line.
##PBS -A ACCOUNT
##PBS -q QUEUE

cd "$PBS_O_WORKDIR" || exit
# PBS starts with the search path of a new login: load the modules that have mpiexec, and activate the environment that
# has `director`.
# module load cray-pals
# source .venv/bin/activate

# No mpiexec: this runs once, on the job's first node, and starts what the others need by itself.
director partitions examples/batch.yaml
director run examples/batch.yaml --run-dir "runs/pbs-${PBS_JOBID%%.*}"
