#!/usr/bin/env bash
# Test on several GPUs (or CPU processes) of one or more machines.
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR on each.
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,4s/^# //p' "$0" >&2; exit 2; fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
TOOLS=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
