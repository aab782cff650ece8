"""Second virial coefficient of a gas of Lennard-Jones particles, by Simpson's rule. Nothing but Python is needed."""

import argparse
import json
import math
from pathlib import Path

AVOGADRO = 6.02214076e23  # 1/mol, exact in the SI
NM3_TO_CM3 = 1e-21


def integrand(r_nm: float, temperature_k: float, epsilon_k: float, sigma_nm: float) -> float:
    """Of -2 pi (exp(-u/kT) - 1) r^2, in nm2."""
    if r_nm == 0:
        return 0.0
    six = (sigma_nm / r_nm) ** 6
    exponent = -4 * epsilon_k / temperature_k * (six * six - six)
    boltzmann = math.exp(exponent) if exponent > -700 else 0.0
    return -2 * math.pi * (boltzmann - 1) * r_nm * r_nm


def second_virial(temperature_k: float, epsilon_k: float, sigma_nm: float, points: int) -> float:
    """B2 in cm3/mol, integrated to 20 sigma; beyond, -u/kT stands for the integrand's bracket."""
    end_nm = 20 * sigma_nm
    step_nm = end_nm / points
    values = [integrand(index * step_nm, temperature_k, epsilon_k, sigma_nm) for index in range(points + 1)]
    inner = step_nm / 3 * (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2]))
    tail = -8 * math.pi * epsilon_k / temperature_k * sigma_nm**6 / (3 * end_nm**3)
    return (inner + tail) * NM3_TO_CM3 * AVOGADRO


def main() -> None:
    """Reads the command line, and writes JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--sigma", type=float, required=True)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    fine = second_virial(given.temperature, given.epsilon, given.sigma, given.points)
    coarse = second_virial(given.temperature, given.epsilon, given.sigma, given.points // 4 * 2)
    Path(given.out).write_text(json.dumps({"b2": fine, "change": abs(fine - coarse)}))


if __name__ == "__main__":
    main()
