"""Every decision about nodes, with a clock that the test moves."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from partitions.node_watch import MAX_STILLBORN, BlockView, NodeWatch, pause_s


@dataclass
class Cluster:
    """A machine in which blocks start and end as the test says."""

    watch: NodeWatch
    now: float = 0.0
    blocks: dict[str, dict] = field(default_factory=dict)
    up: set[str] = field(default_factory=set)
    count: int = 0
    said: str = ""

    def look(self, after: float = 0.0):
        self.now += after
        views = {
            name: BlockView(
                block["nodes"],
                self.now - block["at"],
                block["exited"],
                frozenset(block["holding"]),
                frozenset(block["reached"]),
                lambda: self.said,
            )
            for name, block in self.blocks.items()
        }
        steps = self.watch.look(self.now, views, dict.fromkeys(self.up, 2))
        for name, node in steps.leave:
            self.blocks[name]["holding"].discard(node)
            self.blocks[name]["left"].add(node)
            self.up.discard(node)
        for name in steps.end:
            for node in self.blocks.pop(name)["nodes"]:
                self.up.discard(node)
        for nodes in steps.start:
            for block in self.blocks.values():
                coming = set() if block["exited"] else set(block["nodes"]) - block["reached"] - block["left"]
                taken = block["holding"] | coming
                assert not taken & set(nodes), "a node was given to two blocks"
            name = str(self.count)
            self.count += 1
            self.blocks[name] = {
                "nodes": tuple(nodes), "at": self.now, "exited": None, "holding": set(), "reached": set(), "left": set()
            }  # fmt: skip
            self.watch.started(name, nodes)
        return steps

    def block_of(self, node):
        return self.blocks[self.watch.nodes[node].block]

    def connect(self, *nodes):
        for node in nodes:
            self.block_of(node)["holding"].add(node)
            self.block_of(node)["reached"].add(node)
            self.up.add(node)

    def vanish(self, node):
        self.block_of(node)["holding"].discard(node)
        self.up.discard(node)

    def exit(self, node, how="ended with exit code 1"):
        self.block_of(node)["exited"] = how

    def states(self):
        return [record.state for record in self.watch.nodes.values()]


def cluster(nodes=2, per_block=1, timeout=60.0, wait=300.0):
    names = [f"node{index}" for index in range(1, nodes + 1)]
    watch = NodeWatch(
        names, launcher="srun", nodes_per_block=per_block, startup_timeout_s=timeout, wait_s=wait, now=0.0
    )
    return Cluster(watch)


def test_each_node_gets_a_block_and_is_up_when_its_workers_have_connected():
    made = cluster()
    assert made.look().start == [["node1"], ["node2"]]
    made.connect("node1")
    assert made.look(1).start == []
    assert made.states() == ["up", "starting"]


def test_nodes_share_blocks_when_asked():
    assert cluster(5, per_block=2).look().start == [["node1", "node2"], ["node3", "node4"], ["node5"]]


def test_a_lost_node_is_started_again_at_once_and_others_are_left_alone():
    made = cluster()
    made.look()
    made.connect("node1", "node2")
    made.look(1)
    made.vanish("node2")
    steps = made.look(10)
    assert made.states() == ["up", "lost"]
    assert made.watch.nodes["node2"].since == 11
    assert steps.start == [["node2"]]
    made.connect("node2")
    made.look(1)
    assert made.states() == ["up", "up"]
    assert made.watch.nodes["node2"].failures == 0


def test_a_launcher_that_ends_while_its_keeper_holds_the_line_changes_nothing():
    made = cluster(1)
    made.look()
    made.connect("node1")
    made.look(1)
    made.exit("node1", "was ended by signal SIGKILL")
    assert made.look(1).start == []
    assert made.states() == ["up"]


def test_one_node_of_a_block_is_lost_and_started_alone():
    made = cluster(2, per_block=2)
    made.look()
    made.connect("node1", "node2")
    made.look(1)
    made.vanish("node2")
    steps = made.look(1)
    assert steps.start == [["node2"]]
    assert steps.end == []


def test_a_node_that_stays_away_is_tried_less_and_less_often():
    made = cluster(2)
    made.look()
    made.connect("node1", "node2")
    made.look(1)
    made.vanish("node2")
    tries = 0
    for _ in range(600):
        tries += len(made.look(1).start)
        if made.watch.nodes["node2"].block:
            made.exit("node2")
    assert 20 <= tries <= 40
    assert made.states() == ["up", "lost"]
    assert [pause_s(n) for n in (1, 2, 3, 4, 9)] == [0, 1, 2, 4, 30]


def test_a_launcher_that_hangs_on_a_dead_node_is_not_waited_for_as_at_first():
    """The node may be back long before the launcher that was sent to it too early gives up."""
    made = cluster(timeout=600)
    made.look()
    made.connect("node1", "node2")
    made.look(4)
    made.vanish("node2")
    assert made.look(1).start == [["node2"]]
    waits, waited = [], 0
    for _ in range(700):
        waited += 1
        if made.look(1).start:
            waits.append(waited)
            waited = 0
    assert waits[:4] == [14, 27, 53, 105]  # 12 s of patience and no pause, then twice as much, and 1 s …
    assert made.states() == ["up", "lost"]


def test_a_launcher_that_hangs_is_an_error_within_the_deadline():
    made = cluster(timeout=20)
    made.said = "srun: waiting for resources"
    made.look()
    assert made.look(19).fatal is None
    fatal = made.look(2).fatal
    assert "started no worker pool there within 20 s" in fatal
    assert "waiting for resources" in fatal
    assert "node1, node2" in fatal


def test_workers_that_never_connect_are_an_error_within_the_deadline():
    made = cluster(1, timeout=20)
    made.look()
    made.connect("node1")
    made.up.clear()
    assert "did not connect to the Director within 20 s" in made.look(21).fatal


def test_a_launcher_that_fails_is_tried_three_times():
    made = cluster(1)
    made.said = "python: not found"
    starts = 0
    for _ in range(20):
        steps = made.look(1)
        starts += len(steps.start)
        if steps.fatal:
            break
        if made.watch.nodes["node1"].block:
            made.exit("node1")
    assert starts == MAX_STILLBORN
    assert "python: not found" in steps.fatal


def test_one_node_that_never_starts_does_not_stop_the_others():
    made = cluster()
    made.look()
    made.connect("node1")
    for _ in range(100):
        if made.watch.nodes["node2"].block:
            made.exit("node2")
        assert made.look(1).fatal is None
    assert made.states() == ["up", "lost"]


def test_when_all_nodes_are_lost_requests_wait_until_the_deadline():
    made = cluster(wait=300)
    made.look()
    made.connect("node1", "node2")
    made.look(1)
    made.vanish("node1")
    made.look(50)
    made.vanish("node2")
    assert made.look(1).hopeless is None
    assert made.look(299).hopeless is None
    assert "all nodes of the Partition have been lost for 300 s" in made.look(2).hopeless
    made.connect("node1")
    assert made.look(1).hopeless is None
    assert made.states()[0] == "up"


@given(
    st.lists(st.tuples(st.sampled_from(["connect", "vanish", "exit"]), st.integers(0, 3), st.floats(0, 40))),
    st.integers(1, 4),
)
def test_whatever_happens_no_node_is_in_two_blocks_and_every_lost_node_is_tried_again(events, per_block):
    made = cluster(4, per_block=per_block)
    made.look()
    for what, index, after in events:
        node = f"node{index + 1}"
        if made.watch.nodes[node].block:
            getattr(made, what)(node)
        if made.look(after).fatal:
            return
    made.look(31)
    for record in made.watch.nodes.values():
        assert record.block is not None or made.now < record.again_at <= made.now + 30


def test_when_all_is_started_over_each_node_is_started_at_once_and_nothing_is_held_against_it():
    cluster = Cluster(NodeWatch(["a", "b"], launcher="srun", nodes_per_block=1, startup_timeout_s=60, wait_s=5, now=0))
    cluster.look()
    cluster.connect("a", "b")
    cluster.look(1)
    for _ in range(2 * MAX_STILLBORN):
        cluster.blocks.clear()
        cluster.up.clear()
        cluster.watch.start_over(cluster.now)
        steps = cluster.look(20)
        assert steps.start == [["a"], ["b"]]
        assert (steps.fatal, steps.hopeless, steps.news) == (None, None, [])
        assert {node.failures for node in cluster.watch.nodes.values()} == {0}
        assert {node.state for node in cluster.watch.nodes.values()} == {"starting"}
