#!/bin/bash
#
# Makes, uses and deletes a Cloud TPU VM or pod slice. Needs gcloud, logged in, with a project set:
#
#   export TPU_NAME=facenhance ZONE=us-west4-a TPU_TYPE=v5litepod-16 SHARE=10.0.0.2:/runs
#   launch/tpu_vm.sh create     # the slice; SPOT=1 for a cheap one that may be taken away
#   launch/tpu_vm.sh install    # this checkout and what it needs, on every worker
#   launch/tpu_vm.sh start /mnt/run/mug --config=configs/mug.py --config.data.directory=/mnt/run/data [...]
#   launch/tpu_vm.sh watch      # the first worker's log, as it grows
#   launch/tpu_vm.sh stop       # a checkpoint is saved; start goes on from it
#   launch/tpu_vm.sh delete     # the slice; what lies on SHARE stays
#
# SHARE is a file system for all workers, such as a Filestore: an NFS server's path, mounted at /mnt/run. A VM with one
# worker does not need it. JAX finds the workers of a slice by itself.

set -euo pipefail

usage() {
  echo "usage: launch/tpu_vm.sh create|install|start WORKDIR --config=...|watch|stop|delete" >&2
  exit 2
}

slice() { # a sub-command of gcloud's, about our slice
  gcloud compute tpus tpu-vm "$1" "$TPU_NAME" --zone="$ZONE" "${@:2}"
}

everywhere() {
  slice ssh --worker=all --command="$1"
}

[[ $# -ge 1 ]] || usage
for name in TPU_NAME ZONE; do
  if [[ -z ${!name:-} ]]; then
    echo "tpu_vm.sh: $name is not set; export it, as the head of this file shows" >&2
    exit 2
  fi
done

case $1 in
  create)
    # The image for v5e; TPU_IMAGE names another for other generations.
    slice create --accelerator-type="${TPU_TYPE:-v5litepod-8}" --version="${TPU_IMAGE:-v2-alpha-tpuv5-lite}" \
      ${SPOT:+--spot}
    ;;
  install)
    archive=$(mktemp --suffix=.tar.gz)
    trap 'rm -f "$archive"' EXIT
    git -C "$(dirname "$0")/.." archive --format=tar.gz --output="$archive" HEAD
    gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME":facenhance.tar.gz --zone="$ZONE" --worker=all
    # The image's own Python is too old; uv brings another.
    everywhere 'set -e
      mkdir -p facenhance && tar -xzf facenhance.tar.gz -C facenhance
      python3 -m pip install --quiet --user uv
      ~/.local/bin/uv venv --quiet --clear --python 3.12 env
      ~/.local/bin/uv pip install --quiet --python env/bin/python -e "facenhance[tpu]"'
    if [[ -n ${SHARE:-} ]]; then
      everywhere "set -e
        sudo apt-get install --quiet --yes nfs-common
        sudo mkdir -p /mnt/run
        mountpoint -q /mnt/run || sudo mount $(printf %q "$SHARE") /mnt/run
        sudo chmod 777 /mnt/run"
    fi
    ;;
  start)
    [[ $# -ge 3 ]] || usage
    arguments=$(printf ' %q' --workdir="$2" "${@:3}")
    everywhere "if kill -0 \$(cat ~/train.pid 2> /dev/null) 2> /dev/null; then echo 'it runs already' >&2; exit 1; fi
      cd ~/facenhance
      nohup ~/env/bin/python launch/train.py$arguments >> ~/train.log 2>&1 < /dev/null &
      echo \$! > ~/train.pid"
    ;;
  watch)
    slice ssh --worker=0 --command='tail -n 20 -F ~/train.log'
    ;;
  stop)
    # shellcheck disable=SC2016 # the pid is that of each worker
    everywhere 'pid=$(cat ~/train.pid) && kill -TERM "$pid" && while kill -0 "$pid" 2> /dev/null; do sleep 1; done'
    ;;
  delete)
    slice delete
    ;;
  *)
    usage
    ;;
esac
