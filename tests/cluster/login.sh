#!/bin/bash
# First process of the login host: when it ends, the kernel ends every process of the cluster.
# usage: login.sh FOLDER SLURM(0|1) PBS(0|1) PYTHON CPUS NODE...
set -eu
folder=$1 slurm=$2 pbs=$3 python=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)

hostname login
mount --bind "$folder/hosts" /etc/hosts
mount -t tmpfs tmpfs /dev/shm  # what killed processes leave there goes with the cluster
ip link set lo up
ip link add br0 type bridge
ip addr add 10.77.0.254/24 dev br0
ip link set br0 up
. "$folder/setup.sh"

if [ "$slurm" = 1 ]; then
  # --force: munged dislikes keys in folders that others may enter, such as those in /tmp.
  munged --force --key-file="$folder/munge.key" --socket="$folder/run/munge" --pid-file="$folder/run/munged.pid" \
    --log-file="$folder/log/munged" --seed-file="$folder/run/munge.seed" </dev/null >&2
  slurmctld </dev/null >&2
fi
if [ "$pbs" = 1 ]; then
  "$python" -E -S "$here/pbs/server.py" "$folder" "$@" </dev/null >"$folder/log/pbs-server" 2>&1 &
fi

echo ready
exec >&2
# The write end of this pipe is held by the process that made the cluster. However that one ends, this one ends as well.
while read -r _; do :; done
