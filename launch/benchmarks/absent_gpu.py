"""A GPU that is not there, as a target to compile for. It takes JAX's CUDA plugin, but no CUDA and no driver."""

import functools
import importlib.util

import jax
from jax.experimental import topologies

from facenhance_jax.messages import InputError

# Without a GPU nothing can be tuned. Of Triton's products, some are refused then; cuBLAS's take their place.
VARIABLES = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""The environment of a process that compiles for it."""

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 thread_dim_limit_x: 1024 thread_dim_limit_y: 1024
  thread_dim_limit_z: 64 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536 registers_per_block_limit: 65536 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84942979072
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  device_vendor: "NVIDIA Corporation" name: "NVIDIA H100 80GB HBM3"
  driver_version: "12.8.0" runtime_version: "12.8.0" compile_time_toolkit_version: "12.8.0" dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""As XLA describes it (a `stream_executor.GpuTargetConfigProto`)."""


def check() -> None:
    """Raises InputError without the plugin."""
    plugins = ("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12")
    if importlib.util.find_spec("jax_plugins") is None or not any(map(importlib.util.find_spec, plugins)):
        wanted = " ".join(f"jax-cuda12-{part}=={jax.__version__}" for part in ("plugin", "pjrt"))
        raise InputError(f"--target=h100 needs JAX's CUDA plugin: pip install --no-deps {wanted}")


@functools.cache  # two devices made would be two, to JAX
def sharding() -> jax.sharding.SingleDeviceSharding:
    """Where arrays of shapes only have to be, so that a program of them is compiled for an H100."""
    topology = topologies.get_topology_desc("", "cuda", topology="1x1x1", target_config=H100)
    return jax.sharding.SingleDeviceSharding(topology.devices[0])
