"""Names of the environment variables by which a worker pool and its workers learn what they own, and their signal."""

import signal

HOST_VARIABLE = "DIRECTOR_HOST"
BINDINGS_VARIABLE = "DIRECTOR_BINDINGS"
REPORTS_VARIABLE = "DIRECTOR_REPORTS"
WORKER_VARIABLE = "DIRECTOR_WORKER"
WARM_VARIABLE = "DIRECTOR_WARM"
"""What a worker is to load before its first task: ``module:function``."""

# What a worker pool needs of the Director's environment, whatever a launcher forwards. No secret is among them.
FORWARDED_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "OPENMM_PLUGIN_DIR",
    "OPENMM_CUDA_COMPILER",
    "CUDA_HOME",
    "ROCM_PATH",
)

INTERRUPT_SIGNAL = signal.SIGUSR2
"""Tells a worker to look at once whether its attempt was asked to stop."""
