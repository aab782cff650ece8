"""Names of the environment variables by which a worker learns what it owns."""

HOST_VARIABLE = "DIRECTOR_HOST"
CORES_VARIABLE = "DIRECTOR_CORES"
THREADS_VARIABLE = "DIRECTOR_THREADS"
