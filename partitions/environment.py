"""Names of the environment variables by which a worker pool and its workers learn what they own."""

HOST_VARIABLE = "DIRECTOR_HOST"
BINDINGS_VARIABLE = "DIRECTOR_BINDINGS"
REPORTS_VARIABLE = "DIRECTOR_REPORTS"
WORKER_VARIABLE = "DIRECTOR_WORKER"
