#!/bin/bash
# First process of a node: when it is killed, the kernel ends every process of the node, and its network is gone.
# usage: node.sh FOLDER NAME ADDRESS SLURM(0|1) PBS(0|1) PYTHON
set -eu
folder=$1 name=$2 address=$3 slurm=$4 pbs=$5 python=$6
here=$(cd "$(dirname "$0")" && pwd)

echo born
read -r _  # the network cable is plugged in from outside
hostname "$name"
mount -t tmpfs tmpfs /dev/shm
ip -batch - <<LINES
link set lo up
address add $address/24 dev eth0
link set eth0 up
LINES

if [ "$pbs" = 1 ]; then
  "$python" -E -S "$here/pbs/mom.py" "$folder" </dev/null >"$folder/log/mom-$name" 2>&1 &
fi
if [ "$slurm" = 1 ]; then
  slurmd </dev/null >&2
fi

echo ready
exec >&2
while read -r _; do :; done  # see login.sh
