import subprocess
import sys

SCRIPT = """
import gc, weakref
from director.collecting import THRESHOLDS, collect_rarely
collect_rarely()
assert gc.get_threshold() == THRESHOLDS and gc.isenabled()
full = gc.get_stats()[2]["collections"]
class Cycle:
    def __init__(self):
        self.me = self
first = weakref.ref(Cycle())
kept = [[] for _ in range(400_000)]
assert first() is None
assert gc.get_stats()[2]["collections"] == full
"""


def test_young_cycles_are_found_and_what_is_kept_is_not_looked_through_again_and_again():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
