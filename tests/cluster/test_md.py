"""Real simulations through a 2 × 2 carve of a Slurm job."""

import statistics

from tests.cluster.runs import assert_each_in_its_partition, batch, by_host, submit


def test_simulations_run_on_all_nodes_and_give_the_same_physics(cluster, tmp_path, capsys):
    entry = {
        "tool": "md",
        "inputs": {"structure": "ala10", "solvent": "implicit", "steps": 2000, "report_interval_steps": 50, "seed": 1},
        "repeat": 12,
    }
    run = submit(cluster, tmp_path / "r", batch([entry]))
    code, outcomes = run.end(150)
    assert code == 0, run.told()
    assert_each_in_its_partition(outcomes)
    assert {host for _, host in by_host(outcomes)} == set(cluster.nodes)
    with capsys.disabled():
        print("\n  node   simulations  ns/day  T (K)  Epot (kJ/mol)")
        for host in cluster.nodes:
            mine = [outcome["result"] for outcome in outcomes if outcome["host"] == host]
            speed = statistics.mean(result["ns_per_day"] for result in mine)
            kelvin = statistics.mean(result["temperature_k"]["mean"] for result in mine)
            energy = statistics.mean(result["potential_energy_kj_mol"]["mean"] for result in mine)
            print(f"  {host}  {len(mine):11}  {speed:6.1f}  {kelvin:5.1f}  {energy:13.1f}")
    for outcome in outcomes:
        assert outcome["result"]["steps"] == 2000
        assert 150 < outcome["result"]["temperature_k"]["mean"] < 400
        for name in ("trajectory", "state_table", "checkpoint"):
            assert (run.run_folder / outcome["artifacts"][name]).stat().st_size > 0
