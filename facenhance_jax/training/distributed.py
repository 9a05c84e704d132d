"""Several processes that train together: by flags, on Slurm, or on the hosts of a Cloud TPU slice."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import jax

from facenhance_jax.messages import InputError

TIMEOUT = 300  # seconds
# What JAX reads of a Slurm step. A batch script outside srun has all of them but the step's nodes.
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None, timeout: int = TIMEOUT
) -> None:
    """Makes this process one of several, if the arguments say so or, without arguments, Slurm or a Cloud TPU does.

    Call it before anything else asks JAX for a device. Returns when all processes have joined; if they have not within
    `timeout` seconds, prints one line and ends this process with status 2.

    Args:
      coordinator: "host:port" of process 0, a port that is free there.
      processes: how many; 1 for this process alone, also under Slurm or on a Cloud TPU.
      process: the number of this one, from 0.
      timeout: seconds.

    Raises:
      InputError: the arguments do not fit together, or process 0 cannot open the port.
    """
    if processes == 1 and process in (None, 0):
        return
    given = {"--coordinator": coordinator, "--num_processes": processes, "--process_id": process}
    if any(value is not None for value in given.values()):
        _check(given)
        where = f"the coordinator {coordinator}"
        arguments = dict(coordinator_address=coordinator, num_processes=processes, process_id=process)
        arguments |= dict(cluster_detection_method="deactivate")  # this process takes all devices of its host
    elif in_slurm_step(os.environ):
        where, arguments = "the Slurm step", dict(local_device_ids=slurm_devices(os.environ))
    elif (jax.config.jax_platforms or "").startswith("tpu"):  # set by JAX itself if it finds one
        where, arguments = "the TPU slice", {}
    else:
        return
    with _giving_up(timeout, where):
        try:
            # Longer than our own limit, because JAX aborts the process with a stack trace at its limit.
            jax.distributed.initialize(**arguments, initialization_timeout=timeout + 60)
        except RuntimeError as error:
            raise InputError(f"{where}: {str(error).splitlines()[0]}; give a port that is free") from error


def in_slurm_step(environment: Mapping[str, str]) -> bool:
    """Whether srun started this process as one of several."""
    return all(name in environment for name in _SLURM) and int(environment["SLURM_NTASKS"]) > 1


def slurm_devices(environment: Mapping[str, str]) -> list[int] | None:
    """The GPUs that a task takes of those that it sees; None for JAX's default, the one of its number on the node.

    That default is wrong if the task sees only one GPU, or if it is alone on its node and should take all.
    """
    visible = len(environment.get("CUDA_VISIBLE_DEVICES", "").split(","))
    alone = environment["SLURM_NTASKS"] == environment.get("SLURM_STEP_NUM_NODES")
    return list(range(visible)) if alone or visible == 1 else None


def _check(given: dict[str, str | int | None]) -> None:
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise InputError(f"{', '.join(missing)}: missing; give {', '.join(given)} together, or none of them")
    coordinator, processes, process = given.values()
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(f"--coordinator={coordinator}: not HOST:PORT; write it like 10.0.0.2:8476")
    if not 0 <= process < processes:
        raise InputError(f"--process_id={process}: not from 0 to {processes - 1}, as --num_processes={processes} asks")


@contextmanager
def _giving_up(timeout: int, where: str) -> Iterator[None]:
    """Ends the process if the block takes longer than `timeout`: JAX waits in C++, where no exception can end it."""

    def give_up():
        message = f"{where}: not all processes came within {timeout} s; start them all, or see to the network between"
        print(f"facenhance: {message}", file=sys.stderr, flush=True)
        os._exit(2)

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
