"""Facts about facilities, and where each of them comes from.

All were read on 2026-11-21, from the facilities' own documentation and that of Globus Compute. Where documentation is
kept in a public repository, `Source.as_of` is the day on which the page was last changed there. Queues come and go; the
scheduler has the last word.
"""

from __future__ import annotations

from endpoint_templates.facts import Facility, Limit, NodeType, Queue, Source

READ_ON = "2026-11-21"

HOUR_S = 3600
DAY_S = 24 * HOUR_S

GLOBUS_EXAMPLES = "https://globus-compute.readthedocs.io/en/stable/endpoints/endpoint_examples.html"
ALCF_PROXY = "http://proxy.alcf.anl.gov:3128"
OLCF_PROXY = "http://proxy.ccs.ornl.gov:3128/"


def _up_to(nodes: int | None, walltime_s: int | None, *, least: int = 1) -> tuple[Limit, ...]:
    return (Limit(least, nodes, walltime_s),)


AURORA = Facility(
    name="aurora",
    title="Aurora",
    organisation="Argonne Leadership Computing Facility (ALCF)",
    scheduler="pbs",
    launcher="pals",
    nodes=(
        NodeType(
            name="compute",
            cores=104,
            threads=208,
            accelerators=tuple(f"{gpu}.{tile}" for gpu in range(6) for tile in range(2)),
            accelerator="tile of an Intel Data Center GPU Max 1550",
        ),
    ),
    queues=(
        Queue("debug", _up_to(2, HOUR_S), "compute"),
        Queue("debug-scaling", _up_to(256, HOUR_S, least=2), "compute"),
        Queue(
            "prod",
            (Limit(256, 1024, 12 * HOUR_S), Limit(1025, 1999, 18 * HOUR_S), Limit(2000, 10624, 24 * HOUR_S)),
            "compute",
        ),
        Queue("capacity", _up_to(16, 7 * DAY_S), "compute"),
        Queue("visualization", _up_to(32, 8 * HOUR_S), "compute", "by request only; nodes are shared"),
    ),
    filesystems=("home", "flare", "daos_user_fs", "daos_perf_fs"),
    interface="hsn0",
    variables=(
        ("http_proxy", ALCF_PROXY),
        ("https_proxy", ALCF_PROXY),
        ("HTTP_PROXY", ALCF_PROXY),
        ("HTTPS_PROXY", ALCF_PROXY),
        ("no_proxy", "localhost,127.0.0.1,.alcf.anl.gov"),
        ("TMPDIR", "/tmp"),  # noqa: S108  (the facility says so)
    ),
    sources=(
        Source(
            "queues; the file system names; what PBS is told of nodes that fail",
            "https://docs.alcf.anl.gov/aurora/running-jobs-aurora/",
            "2026-07-27",
        ),
        Source("nodes: cores, threads, GPUs and tiles", "https://docs.alcf.anl.gov/aurora/", "2025-03-11"),
        Source(
            "interface hsn0, 208 for ncpus, names of tiles",
            "https://docs.alcf.anl.gov/aurora/workflows/parsl/",
            "2026-07-16",
        ),
        Source(
            "compute nodes reach the outside through a proxy only",
            "https://docs.alcf.anl.gov/aurora/getting-started-on-aurora/#proxy",
            "2025-09-02",
        ),
        Source("TMPDIR, for Parsl", "https://docs.alcf.anl.gov/services/globus-compute/", "2026-08-03"),
        Source(
            "-l filesystems, -l place=scatter and -k doe",
            "https://docs.alcf.anl.gov/running-jobs/",
            "2026-02-18",
        ),
    ),
)

POLARIS = Facility(
    name="polaris",
    title="Polaris",
    organisation="Argonne Leadership Computing Facility (ALCF)",
    scheduler="pbs",
    launcher="pals",
    nodes=(NodeType("compute", 32, 64, ("0", "1", "2", "3"), "NVIDIA A100"),),
    queues=(
        Queue("debug", _up_to(2, HOUR_S), "compute"),
        Queue("debug-scaling", _up_to(10, HOUR_S), "compute"),
        Queue(
            "prod",
            (Limit(10, 24, 3 * HOUR_S), Limit(25, 99, 6 * HOUR_S), Limit(100, 496, 24 * HOUR_S)),
            "compute",
        ),
        Queue("preemptable", _up_to(10, 72 * HOUR_S), "compute", "jobs can be killed at any time"),
        Queue("demand", _up_to(56, HOUR_S), "compute", "by request only"),
        Queue("capacity", _up_to(4, 168 * HOUR_S), "compute"),
    ),
    filesystems=("home", "eagle"),
    interface="hsn0",
    variables=(
        ("http_proxy", ALCF_PROXY),
        ("https_proxy", ALCF_PROXY),
        ("no_proxy", "localhost,127.0.0.1,.alcf.anl.gov"),
        ("TMPDIR", "/tmp"),  # noqa: S108  (the facility says so)
    ),
    sources=(
        Source(
            "queues; the proxy through which compute nodes reach the outside",
            "https://docs.alcf.anl.gov/polaris/running-jobs/",
            "2026-02-17",
        ),
        Source("nodes: cores, threads and GPUs", "https://docs.alcf.anl.gov/polaris/", "2025-03-11"),
        Source(
            "-l filesystems and the names home and eagle, system=polaris, -l place=scatter, -k doe",
            "https://docs.alcf.anl.gov/running-jobs/",
            "2026-02-18",
        ),
        Source("TMPDIR, ngpus=4", "https://docs.alcf.anl.gov/polaris/workflows/parsl/", "2026-08-04"),
        Source("interface hsn0", GLOBUS_EXAMPLES, "2025-10-10"),
    ),
)

PERLMUTTER = Facility(
    name="perlmutter",
    title="Perlmutter",
    organisation="National Energy Research Scientific Computing Center (NERSC)",
    scheduler="slurm",
    launcher="srun",
    nodes=(
        NodeType("gpu", 64, 128, ("0", "1", "2", "3"), "NVIDIA A100"),
        NodeType("cpu", 128, 256),
    ),
    queues=(),  # the table of limits could not be confirmed: `qos` has to be given
    filesystems=(),
    interface="hsn0",
    variables=(),
    sources=(
        Source(
            "a QOS is chosen rather than a queue, such as regular or debug; debug is what Slurm takes if none is given",
            "https://docs.nersc.gov/jobs/policy/",
        ),
        Source("nodes: processors and GPUs", "https://docs.nersc.gov/systems/perlmutter/architecture"),
        Source(
            "interface hsn0; constraint gpu, 128 threads and 4 GPUs a node; 256 threads a CPU node",
            GLOBUS_EXAMPLES,
            "2025-10-10",
        ),
    ),
)

FRONTIER = Facility(
    name="frontier",
    title="Frontier",
    organisation="Oak Ridge Leadership Computing Facility (OLCF)",
    scheduler="slurm",
    launcher="srun",
    nodes=(
        NodeType(
            name="compute",
            cores=56,
            threads=56,
            accelerators=tuple(str(die) for die in range(8)),
            accelerator="graphics compute die of an AMD MI250X",
        ),
    ),
    queues=(
        Queue(
            "batch",
            (Limit(1, 91, 2 * HOUR_S), Limit(92, 183, 6 * HOUR_S), Limit(184, 9472, 12 * HOUR_S)),
            "compute",
        ),
        Queue("extended", _up_to(64, 24 * HOUR_S), "compute"),
    ),
    filesystems=(),
    interface="hsn0",
    variables=(
        ("http_proxy", OLCF_PROXY),
        ("https_proxy", OLCF_PROXY),
        ("no_proxy", "localhost,127.0.0.1,127.0.0.0/8,.ccs.ornl.gov"),
    ),
    sources=(
        Source(
            "nodes: 64 cores, of which 8 are reserved, one thread each, 8 dies; batch, extended, their limits; the QOS",
            "https://docs.olcf.ornl.gov/systems/frontier_user_guide.html",
            "2026-07-07",
        ),
        Source("interface hsn0", "https://docs.olcf.ornl.gov/software/workflows/parsl.html", "2025-02-12"),
        Source(
            "compute nodes reach the outside through a proxy only",
            "https://docs.olcf.ornl.gov/software/analytics/pytorch_frontier.html#proxy-settings",
            "2026-07-07",
        ),
    ),
)

_FOUR, _EIGHT = tuple("0123"), tuple("01234567")

DELTA = Facility(
    name="delta",
    title="Delta",
    organisation="National Center for Supercomputing Applications (NCSA), through ACCESS",
    scheduler="slurm",
    launcher="srun",
    nodes=(
        NodeType("CPU", 128, 128),
        NodeType("quad-A100", 64, 64, _FOUR, "NVIDIA A100"),
        NodeType("octa-A100", 128, 128, _EIGHT, "NVIDIA A100"),
        NodeType("quad-A40", 64, 64, _FOUR, "NVIDIA A40"),
        NodeType("octa-H200", 96, 96, _EIGHT, "NVIDIA H200"),
        NodeType("octa-MI100", 128, 128, _EIGHT, "AMD MI100"),
    ),
    queues=(
        Queue("cpu", _up_to(None, 48 * HOUR_S), "CPU"),
        Queue("cpu-interactive", _up_to(4, 1800), "CPU"),
        Queue("cpu-preempt", _up_to(None, 48 * HOUR_S), "CPU", "jobs can be preempted"),
        Queue("gpuA100x4", _up_to(None, 48 * HOUR_S), "quad-A100"),
        Queue("gpuA100x4-interactive", _up_to(4, HOUR_S), "quad-A100"),
        Queue("gpuA100x4-preempt", _up_to(None, 48 * HOUR_S), "quad-A100", "jobs can be preempted"),
        Queue("gpuA100x8", _up_to(None, 48 * HOUR_S), "octa-A100"),
        Queue("gpuA100x8-interactive", _up_to(2, HOUR_S), "octa-A100"),
        Queue("gpuA40x4", _up_to(None, 48 * HOUR_S), "quad-A40"),
        Queue("gpuA40x4-interactive", _up_to(4, HOUR_S), "quad-A40"),
        Queue("gpuA40x4-preempt", _up_to(None, 48 * HOUR_S), "quad-A40", "jobs can be preempted"),
        Queue("gpuH200x8", _up_to(1, 48 * HOUR_S), "octa-H200"),
        Queue("gpuH200x8-interactive", _up_to(1, HOUR_S), "octa-H200"),
        Queue("gpuMI100x8", _up_to(None, 48 * HOUR_S), "octa-MI100"),
        Queue("gpuMI100x8-interactive", _up_to(None, HOUR_S), "octa-MI100"),
    ),
    filesystems=(),
    interface="eth6.560",
    variables=(),
    sources=(
        Source(
            "queues and their limits; 1000 MB of memory for each core unless asked for",
            "https://docs.ncsa.illinois.edu/systems/delta/en/latest/user_guide/running_jobs.html",
            "2025-04-22",
        ),
        Source(
            "nodes: cores and GPUs",
            "https://docs.ncsa.illinois.edu/systems/delta/en/latest/user_guide/architecture.html",
            "2025-05-20",
        ),
        Source("interface eth6.560", GLOBUS_EXAMPLES, "2025-10-10"),
    ),
)

ANVIL = Facility(
    name="anvil",
    title="Anvil",
    organisation="Purdue University, Rosen Center for Advanced Computing (RCAC), through ACCESS",
    scheduler="slurm",
    launcher="srun",
    nodes=(
        NodeType("CPU", 128, 128),
        NodeType("GPU", 128, 128, _FOUR, "NVIDIA A100"),
        NodeType("AI", 96, 96, _FOUR, "NVIDIA H100"),
    ),
    queues=(),  # no current list of partitions could be confirmed: `queue` has to be given
    filesystems=(),
    interface="ib0",
    variables=(),
    sources=(
        Source(
            "nodes: cores and GPUs",
            "https://docs.rcac.purdue.edu/userguides/anvil/architecture/",
            "2025-12-16",
        ),
        Source(
            "jobs on GPUs must say --gpus-per-node",
            "https://docs.rcac.purdue.edu/userguides/anvil/run_jobs/",
            "2025-12-19",
        ),
        Source("interface ib0", GLOBUS_EXAMPLES, "2025-10-10"),
    ),
)

EXPANSE = Facility(
    name="expanse",
    title="Expanse",
    organisation="San Diego Supercomputer Center (SDSC), through ACCESS",
    scheduler="slurm",
    launcher="srun",
    nodes=(
        NodeType("standard", 128, 128),
        NodeType("GPU", 40, 40, _FOUR, "NVIDIA V100"),
    ),
    queues=(),  # no current list of partitions could be confirmed: `queue` has to be given
    filesystems=(),
    interface="ib0",
    variables=(),
    sources=(
        Source("nodes: cores and GPUs", "https://sdsc.edu/services/hpc/hpc_systems.html"),
        Source(
            "jobs have at most 4,096 cores; a run time of at most a week",
            "https://access-ci.atlassian.net/wiki/spaces/ACCESSdocumentation/pages/467111296",
        ),
        Source("interface ib0; the partition compute", GLOBUS_EXAMPLES, "2025-10-10"),
    ),
)

FACILITIES = (AURORA, POLARIS, PERLMUTTER, FRONTIER, DELTA, ANVIL, EXPANSE)
