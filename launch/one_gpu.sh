#!/usr/bin/env bash
# What one GPU gives in half an hour: four parts, each a table that grows by a row at a time.
#
#   launch/one_gpu.sh [--tiny] [--wheels DIR] OUT [A|B|C|D ...] [-- FLAGS OF launch/train.py]
#
#   A  ceilings: copying, bf16 products and convolutions                               OUT/A.txt    1 minute
#   B  training steps, PyTorch's beside them, their largest items, network calls       OUT/B.txt    9 minutes
#   C  sampling: one clip and 16 abreast at 1, 2, 4, 8 steps                           OUT/C.txt    8 minutes
#      B and C also measure with convolutions in CUDA graphs, which JAX does from 0.11 on if it is told to ("graphs")
#   D  people drawn on all cores; the released model trained on them; its average      OUT/D.txt    9 minutes
#      as OUT/model.tar.aa, ab, ... of at most 15 MB: cat OUT/model.tar.* | tar x
#
# It ends by itself after LIMIT seconds (540), and skips the rows that OUT has already: call it again to go on. Rows of
# a step that did not end are followed by "unfinished: STEP". D trains for TRAIN_MINUTES (6) in all, on PEOPLE (320)
# drawn people, at the rate that a short trial had. OUT/work can be removed at the end. --wheels installs ml_collections
# and tensorboardX from a folder, where there is no network. --tiny is for tests. PYTHON may name another interpreter.

set -euo pipefail

usage() {
  echo "usage: launch/one_gpu.sh [--tiny] [--wheels DIR] OUT [A|B|C|D ...] [-- FLAGS OF launch/train.py]" >&2
  exit 2
}

python=${PYTHON:-python}
networks=(mug fast released) trained=(mug paper) batches=(4 16) clips=(1 16) rounds=1
config=configs/demo.py frames=8 resolution=192 people=${PEOPLE:-320} trial=300 minutes=${TRAIN_MINUTES:-6} slow=1
training=(--config.run.save_every=1000000 --config.run.save_minutes=2 --config.run.sample_every=5000)
wheels=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --tiny)
      networks=(smoke) trained=(smoke) batches=(4) clips=(1)
      config=configs/smoke.py frames=2 resolution=64 people=3 trial=2 minutes=0.01 slow=20
      training=(--config.model.resolution=64 --config.model.low_size=64 --config.run.log_every=1)
      ;;
    --wheels) wheels=$(cd "${2:?}" && pwd) && shift ;;
    *) usage ;;
  esac
  shift
done
[[ $# -ge 1 ]] || usage
mkdir -p "$1"
out=$(cd "$1" && pwd) && shift
parts=()
while [[ $# -ge 1 && $1 != -- ]]; do
  [[ $1 == [ABCD] ]] || usage
  parts+=("$1") && shift
done
[[ ${parts[*]} ]] || parts=(A B C D)
training+=("${@:2}")

cd "$(dirname "$0")/.."
work=$out/work
mkdir -p "$work"
# What one row compiled, another finds.
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$work/jax} TORCHINDUCTOR_CACHE_DIR=$work/torch
if [[ $wheels ]]; then
  "$python" -m pip install --quiet --no-index --find-links "$wheels" ml_collections tensorboardX
fi

left() { echo $((${LIMIT:-540} - SECONDS)); }

# row SECONDS NAME COMMAND...: the command's lines go into the part's table, unless they are there already.
row() {
  local most=$(($1 * slow)) name=$2 table=$out/$part.txt status=0
  shift 2
  if grep -qxF "done: $name" "$table" 2>/dev/null; then return; fi
  if (($(left) < most)); then most=$(left); fi
  if ((most < 10)); then
    echo "$part, $name: no time left; call it again" >&2
    return
  fi
  timeout --kill-after=20 "$most" "$@" >>"$table" 2>>"$work/log.txt" || status=$?
  if [[ $status == 0 ]]; then
    echo "done: $name" >>"$table"
  else
    echo "unfinished: $name (status $status)" | tee -a "$table" >&2
  fi
}

bench() { row "$1" "${*:2}" "$python" launch/benchmark.py "${@:2}"; }

graphs() {
  "$python" -c "import jax; exit(jax.__version_info__ < (0, 11))" || return 0
  row "$1" "graphs ${*:2}" env XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_enable_command_buffer=+CONVOLUTION" \
    "$python" launch/benchmark.py "${@:2}"
}

A() { bench 60 --what=ceilings; }

B() {
  local network batch
  for network in "${trained[@]}"; do
    for batch in "${batches[@]}"; do
      bench 240 --what=train --networks="$network" --batches="$batch" --rounds="$rounds"
      bench 120 --what=profile --networks="$network" --batches="$batch"
    done
  done
  bench 120 --what=call --networks="${networks[-1]}" --clips="${clips[-1]}" --rounds="$rounds"
  graphs 240 --what=train --networks="${trained[0]}" --batches="${batches[0]}" --rounds="$rounds"
}

C() {
  local network count
  for network in "${networks[@]}"; do
    for count in "${clips[@]}"; do
      bench 120 --what=sample --networks="$network" --clips="$count" --steps=1,2,4,8
    done
    graphs 120 --what=sample --networks="$network" --clips="${clips[0]}" --steps=2,8
  done
}

D() {
  local train=("$python" launch/train.py --config="$config" --config.data.directory="$work/drawn.npz" "${training[@]}")
  row 200 drawing "$python" launch/draw.py \
    --people="$people" --frames="$frames" --resolution="$resolution" --output="$work/drawn.npz"
  row 200 trial "${train[@]}" --workdir="$work/trial" --config.run.steps="$trial" --config.run.log_every=$((trial / 2))
  [[ -s $work/trial/metrics.jsonl ]] || return 0
  if [[ ! -s $work/steps ]]; then # as many as TRAIN_MINUTES have room for, at the trial's last rate
    tail -n 1 "$work/trial/metrics.jsonl" |
      "$python" -c "import json; print(int(json.loads(input())['steps_per_second'] * 54 * $minutes) + 1)" >"$work/steps"
  fi
  row $(($(left) - 60)) training "${train[@]}" --workdir="$work/run" --config.run.steps="$(<"$work/steps")"
  [[ -d $work/run/checkpoints ]] || return 0
  rm -rf "$work/model"
  timeout 60 "$python" launch/export.py --workdir="$work/run" --output="$work/model" --dtype=float16 \
    >>"$out/D.txt" 2>>"$work/log.txt"
  rm -f "$out"/model.tar.*
  tar -C "$work" -c model | split -b 15m - "$out/model.tar."
}

for part in "${parts[@]}"; do
  "$part"
done
