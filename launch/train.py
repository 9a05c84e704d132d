"""Trains: `python launch/train.py --config=configs/demo.py --workdir=DIR [--config.train.batch_size=4 ...]`.

The configs motiongan, renderer and imaginator train light generators, the others the enhancer.
Run it again to go on from the newest checkpoint in DIR. Several processes train together on Slurm, on a Cloud TPU
slice, or with --coordinator=HOST:PORT --num_processes=N --process_id=I in each; see launch/README.md.
"""

from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
import cpu
from absl import app, flags, logging
from ml_collections import config_flags

from facenhance_jax import messages

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/NAME.py[:variant]", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run; an existing run goes on", required=True)
_ALLOW = flags.DEFINE_bool("allow_config_change", False, "go on with changed fields that leave the network as it is")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where several train together")
_PROCESSES = flags.DEFINE_integer("num_processes", None, "how many; 1 for this alone, on Slurm and TPU too")
_PROCESS = flags.DEFINE_integer("process_id", None, "which of them this is, from 0")
_TIMEOUT = flags.DEFINE_integer("coordinator_timeout", 300, "seconds to wait for the other processes", lower_bound=1)
flags.mark_flag_as_required("config")


def parse(argv: list[str]) -> list[str]:
    """Reads the flags and the config behind them; a bad one is one line and exit status 2."""
    with messages.refusing():
        try:
            rest = flags.FLAGS(argv)
            _CONFIG.value.lock()  # a config that could not be read says so when it is touched
        except (AttributeError, KeyError) as error:
            raise messages.InputError(f"--config: no such field: {last_line(str(error))}") from error
        except (flags.Error, OSError, TypeError, ValueError) as error:
            raise messages.InputError(last_line(str(error))) from error
    return rest


def last_line(message: str) -> str:
    """The line in which ml_collections says what is wrong, after a traceback or inside a quoted `repr`."""
    line = message.replace("\\n", "\n").strip().splitlines()[-1].strip()
    line = line.removeprefix("ValueError: ")
    return line.removesuffix("'") if line.count("'") % 2 else line


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)  # Orbax reports every file it touches, and every error that it also raises
    from facenhance_jax import settings  # not before: a bad flag should not wait for JAX
    from facenhance_jax.generators import settings as generators
    from facenhance_jax.inference.compile_cache import keep_compiled_programs
    from facenhance_jax.training import distributed, experiment, generating, loop

    keep_compiled_programs()
    with messages.refusing():
        distributed.join(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _TIMEOUT.value)
        config = _CONFIG.value
        cpu.share_cores(config.train.batch_size // config.train.get("accumulate", 1))
        if generators.is_generator(config):
            made = generating.make(generators.read(config))
        else:
            made = experiment.make(settings.read(config))
        loop.train(made, Path(_WORKDIR.value).absolute(), _ALLOW.value)


if __name__ == "__main__":
    cpu.start_again()
    app.run(main, flags_parser=parse)
