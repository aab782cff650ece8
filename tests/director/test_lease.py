import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule

import director.lease
from director.lease import HeldError, Holder, Lease, LeaseError, Newcomer
from director.lease_watch import Failing, Record, Sight, Step, Watch, decide
from director.ledger import Accepted, FencedError, SqliteLedger
from director.process_id import ProcessId
from simulations.records import Request
from tests.helpers import NOON, wait_until

BEAT_S = 2.0
EXPIRES_S = 12.0


def holder(launch="one", pid=None, host="here"):
    return Holder(
        run_id="r1", director=0, launch_id=launch, host=host, pid=pid or os.getpid(), job_id="77.pbs", since=NOON
    )


class Clock:
    """A clock that goes on when somebody sleeps; meanwhile others may do something."""

    def __init__(self, meanwhile=lambda: None):
        self.now_s = 1000.0
        self.meanwhile = meanwhile

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
        self.meanwhile()


def acquire(folder, launch="one", clock=None, **more):
    clock = clock or Clock()
    return Lease.acquire(folder, holder(launch, **more), clock=clock, sleep=clock.sleep)


def at_once(folder, launch="next", **more):
    """Takes a lease without waiting for anything."""
    return Lease.acquire(folder, holder(launch, **more), sleep=lambda _: pytest.fail("it waited"))


def spoil(function, error):
    """The function, but it has an error every time."""

    def spoilt(*arguments, **more):
        raise error

    return spoilt


# ---- one after the other


def test_the_first_one_has_life_1_at_once_and_nobody_else_can_read_it(tmp_path):
    lease = at_once(tmp_path / "run" / "lease")
    assert lease.life == 1
    assert lease.renew() is None
    [file] = (tmp_path / "run" / "lease").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_newcomer_ends_when_the_holder_lives_and_says_who_that_is(tmp_path):
    lease = acquire(tmp_path)
    with pytest.raises(HeldError) as caught:
        acquire(tmp_path, "two", Clock(meanwhile=lease.renew))
    assert caught.value.holder == holder()
    assert caught.value.life == 1
    assert f"Director 0 of run r1 is alive already: process {os.getpid()} on here, job 77.pbs" in str(caught.value)
    assert "since 2026-01-01 12:00:00 UTC" in str(caught.value)
    assert lease.renew() is None


def test_a_newcomer_takes_over_from_a_silent_holder_who_is_told_when_it_wakes_up(tmp_path):
    old = acquire(tmp_path)
    clock = Clock()
    began_s = clock()
    new = acquire(tmp_path, "two", clock)
    assert new.life == 2
    assert clock() - began_s >= EXPIRES_S
    assert "another Director has taken over from this one: life 2, process" in old.renew()
    assert "launch two" in old.renew()
    assert new.renew() is None


def test_one_that_was_taken_over_cannot_release_what_is_not_its_own(tmp_path):
    old = acquire(tmp_path)
    new = acquire(tmp_path, "two")
    old.release()
    assert new.renew() is None
    with pytest.raises(HeldError):
        acquire(tmp_path, "three", Clock(meanwhile=new.renew))


def test_one_whose_folder_was_made_anew_leaves_the_lease_there_alone(tmp_path):
    old = acquire(tmp_path / "lease")
    (tmp_path / "lease").rename(tmp_path / "elsewhere")
    new = acquire(tmp_path / "lease", "two")
    old.release()
    assert new.renew() is None
    assert old.renew().endswith("life-1.json was written by somebody else")
    with pytest.raises(HeldError):
        acquire(tmp_path / "lease", "three", Clock(meanwhile=new.renew))


def test_a_released_lease_is_taken_at_once(tmp_path):
    for life in range(1, 5):
        lease = at_once(tmp_path)
        assert lease.life == life
        lease.release()
        lease.release()
        assert lease.renew() is None


def test_a_pause_of_the_newcomer_or_the_file_system_is_not_held_against_the_holder(tmp_path):
    lease = acquire(tmp_path)
    clock = Clock()
    looks = []

    def stand_still():
        looks.append(clock.now_s)
        clock.now_s += 3600  # everything stood still for an hour ...
        if len(looks) == 3:
            lease.renew()  # ... and the holder was awake again a moment after the newcomer

    clock.meanwhile = stand_still
    with pytest.raises(HeldError):
        acquire(tmp_path, "two", clock)


def test_time_that_the_file_system_takes_to_answer_is_not_held_against_the_holder(tmp_path, monkeypatch):
    lease = acquire(tmp_path)
    clock = Clock()
    looks = []
    read = director.lease._read

    def slow(path):
        clock.now_s += 60
        looks.append(path)
        body = read(path)
        if len(looks) == 10:
            lease.renew()
        return body

    with monkeypatch.context() as patches:
        patches.setattr(director.lease, "_read", slow)
        with pytest.raises(HeldError):
            acquire(tmp_path, "two", clock)


def test_beats_that_would_come_too_late_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a lease of 4 s cannot be kept with beats of 2 s"):
        Lease.acquire(tmp_path, holder(), beat_s=2, expires_s=4)


# ---- the decision


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=30),
    st.none() | st.integers(1, 30),
    st.floats(0.5, 5),
    st.floats(5, 30),
)
def test_a_life_is_taken_only_after_it_stood_still_before_the_newcomers_eyes_for_the_leases_time(
    looks, beats_at, longest, expires
):
    watch, now_s, awake_s = Watch(longest_s=longest), 0.0, 0.0
    for number, (pause_s, look_s) in enumerate(looks):
        sight = Sight(1, b"beat 2" if beats_at is not None and number >= beats_at else b"beat 1")
        watch = watch.after(sight, now_s + pause_s, now_s + pause_s + look_s)
        awake_s += min(pause_s, longest) if watch.first is not sight else 0.0
        now_s += pause_s + look_s
        step = decide(watch, sight, expires)
        if sight.body != watch.first.body:
            assert step is Step.HELD
        elif abs(awake_s - expires) > 1e-6:  # sums of times are not exact
            assert step is (Step.TAKE if awake_s > expires else Step.WAIT)


def test_a_life_that_cannot_be_read_for_a_while_is_neither_alive_nor_dead():
    watch = Watch(longest_s=1.0)
    for now_s, body in enumerate([None, b"beat 1", None, None, b"beat 1", None]):
        watch = watch.after(Sight(1, body), float(now_s), float(now_s))
        assert decide(watch, Sight(1, body), 12.0) is Step.WAIT
    assert decide(watch, Sight(1, b"beat 2"), 12.0) is Step.HELD


def test_a_renewal_that_succeeds_ends_the_failing_and_a_pause_counts_little():
    failing = Failing()
    for _ in range(5):
        failing = failing.after(0, 1.0, 2.0)
    assert failing.seconds == 5.0
    assert failing.after(0, 3600.0, 2.0).seconds == 7.0
    assert failing.after(1, 1.0, 2.0) == Failing(1, 0.0)


def test_a_newcomer_does_not_wait_for_ever_while_others_come_and_go():
    watch, steps = Watch(longest_s=1.0), []
    for life in range(1, 40):
        watch = watch.after(Sight(life, b"beat 1"), float(life), float(life))
        steps.append(decide(watch, Sight(life, b"beat 1"), 12.0))
    assert Step.HELD in steps


# ---- what may stand in the folder


RECORD = Record(holder=holder(), process=None, nonce="n").dump()


@given(
    st.one_of(
        st.binary(max_size=300),
        st.integers(0, len(RECORD)).map(lambda end: RECORD[:end]),
        st.tuples(st.integers(0, len(RECORD) - 1), st.integers(0, 255)).map(
            lambda change: RECORD[: change[0]] + bytes([change[1]]) + RECORD[change[0] + 1 :]
        ),
        st.sampled_from(["pid", "started_ticks", "beat", "since", "host"]).flatmap(
            lambda name: st.one_of(st.integers(), st.text(), st.none(), st.floats()).map(
                lambda value: json.dumps(
                    {
                        **json.loads(RECORD),
                        "process": ProcessId.of(os.getpid()).model_dump() | {name: value},
                        name: value,
                    }
                ).encode()
            )
        ),
    )
)
@settings(max_examples=150)
def test_whatever_stands_in_a_lifes_file_the_next_one_can_go_on(body):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "life-7.json").write_bytes(body)
        assert acquire(Path(folder), "two").life == 8


def test_files_of_other_names_are_no_lives(tmp_path):
    for name in ("life-0.json", "life-007.json", "life-9.json.bak", "life-٣.json", "notes", f"life-{'9' * 40}.json"):
        (tmp_path / name).write_text("{}")
    assert at_once(tmp_path).life == 1


def test_a_lease_that_cannot_be_read_is_refused_with_a_message(tmp_path):
    (tmp_path / "life-3.json").mkdir()
    with pytest.raises(LeaseError, match=r"who holds the lease in .* cannot be told: .*life-3\.json"):
        acquire(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_with_a_message(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LeaseError, match=r"cannot be taken .*Not a directory.* must be able to write there"):
        acquire(tmp_path / "file" / "lease")


# ---- at the same time


def test_of_two_newcomers_who_see_the_same_one_wins(tmp_path):
    clock = Clock()
    two = [Newcomer(tmp_path, holder(name), beat_s=BEAT_S, expires_s=EXPIRES_S, clock=clock) for name in ("a", "b")]
    assert [newcomer.look() for newcomer in two] == [Step.TAKE, Step.TAKE]
    winner, loser = two[0].take(), two[1].take()
    assert (winner.life, loser) == (1, None)
    assert two[1].look() is Step.WAIT
    winner.renew()
    assert two[1].look() is Step.HELD
    assert two[1].held().holder.launch_id == "a"


def test_a_newcomer_is_not_misled_by_a_network_file_system_that_shows_a_folder_as_it_was(tmp_path, monkeypatch):
    lease = acquire(tmp_path)
    monkeypatch.setattr(director.lease, "_newest", lambda folder: 0)
    with pytest.raises(HeldError):
        acquire(tmp_path, "two", Clock(meanwhile=lease.renew))
    assert acquire(tmp_path, "three").life == 2


def test_a_link_that_the_server_made_though_it_says_that_it_was_there_already_counts(tmp_path, monkeypatch):
    link = os.link

    def asked_twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", asked_twice)
    assert at_once(tmp_path).life == 1


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch, code):
    monkeypatch.setattr(os, "link", spoil(os.link, OSError(code, os.strerror(code))))
    clock = Clock()
    two = [Newcomer(tmp_path, holder(name), beat_s=BEAT_S, expires_s=EXPIRES_S, clock=clock) for name in ("a", "b")]
    assert [newcomer.look() for newcomer in two] == [Step.TAKE, Step.TAKE]
    lease = two[0].take()
    assert two[1].take() is None
    assert lease.renew() is None
    assert [path.name for path in tmp_path.iterdir()] == ["life-1.json"]


class Killed(BaseException):
    """The process was killed."""


def kill_at(monkeypatch, step):
    """Lets the process die at the n-th thing that it does to files: nothing is done from then on."""
    done = 0

    def dying(function):
        def call(*arguments, **more):
            nonlocal done
            done += 1
            if done > step:
                raise Killed
            return function(*arguments, **more)

        return call

    for name in ("open", "link", "fsync", "unlink", "replace", "mkdir"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def test_after_a_kill_at_any_point_the_next_one_goes_on(tmp_path):
    for step in range(100):
        folder = tmp_path / str(step)
        lives = []
        with pytest.MonkeyPatch.context() as patches:
            kill_at(patches, step)
            with suppress(Killed):
                lease = acquire(folder)
                lives.append(lease.life)
                assert lease.renew() is None
                assert lease.renew() is None
                lease.release()
                lives.append("released")
        after = acquire(folder, "two")
        assert after.life in ({2} if lives else {1, 2})
        after.release()
        assert at_once(folder).life == after.life + 1
        if "released" in lives:
            assert step > 10
            return
    pytest.fail("it was killed every time")


@dataclass(eq=False)
class Coming:
    """A newcomer, and what it knows."""

    newcomer: Newcomer
    began_s: float
    step: Step = Step.WAIT
    life: int = 0
    done: bool = False


@dataclass(eq=False)
class Owner:
    """One that has got the lease, and perhaps lost it again."""

    lease: Lease
    ledger: SqliteLedger
    claimed: int = 0
    released: bool = False


class OneWriter(RuleBasedStateMachine):
    """Directors that come, look, take, freeze, wake up and write in any order: one of them, the latest, can write."""

    comings = Bundle("comings")
    owners = Bundle("owners")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.file = self.folder / "ledger.sqlite"
        self.now_s = 0.0
        self.everyone = []
        self.newest = 0
        self.claimed = 0
        self.last_beat_s = {}
        self.released = set()
        self.requests = 0

    @rule(target=comings)
    def arrive(self):
        newcomer = Newcomer(
            self.folder, holder("a launch"), beat_s=BEAT_S, expires_s=EXPIRES_S, clock=lambda: self.now_s
        )
        return Coming(newcomer, self.now_s)

    @rule(one=comings)
    def look(self, one):
        if one.done:
            return
        if one.life != self.newest:
            one.life, one.began_s = self.newest, self.now_s
        one.step = one.newcomer.look()
        if one.step is Step.HELD:
            assert self.last_beat_s[self.newest] >= one.began_s
            one.done = True
        elif one.step is Step.TAKE:
            silent_s = self.now_s - self.last_beat_s.get(self.newest, 0.0)
            assert self.newest == 0 or self.newest in self.released or silent_s >= EXPIRES_S
        else:
            assert one.step is Step.WAIT

    @rule(one=comings, looks=st.integers(1, 30), seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def look_for_a_while(self, one, looks, seconds):
        for _ in range(looks):
            if one.step is Step.WAIT and not one.done:
                self.now_s += seconds
                self.look(one)

    @rule(target=owners, one=comings)
    def take(self, one):
        if one.done or one.step is not Step.TAKE:
            return multiple()
        lease = one.newcomer.take()
        assert (lease is None) == (one.life < self.newest)
        if lease is None:
            one.step = Step.WAIT
            return multiple()
        one.done = True
        self.newest += 1
        assert lease.life == self.newest
        self.last_beat_s[lease.life] = self.now_s
        self.everyone.append(Owner(lease, SqliteLedger(self.file)))
        return self.everyone[-1]

    @rule(target=owners)
    def take_over_while_nobody_beats(self):
        one = self.arrive()
        self.look_for_a_while(one, 30, 0.5)
        owner = self.take(one)
        assert isinstance(owner, Owner)
        return owner

    @rule(seconds=st.sampled_from([0.5, 2.0, 60.0]))
    def time_goes_by(self, seconds):
        self.now_s += seconds

    @rule(owner=owners)
    def beat(self, owner):
        lost = owner.lease.renew()
        if not owner.released:
            assert (lost is None) == (owner.lease.life == self.newest)
            self.last_beat_s[owner.lease.life] = self.now_s

    @rule(owner=owners)
    def claim(self, owner):
        if owner.lease.life > self.claimed:
            owner.ledger.claim(owner.lease.life)
            self.claimed = owner.claimed = owner.lease.life
        else:
            with pytest.raises(FencedError):
                owner.ledger.claim(owner.lease.life)

    @rule(owner=owners, taking_up=st.booleans())
    def write(self, owner, taking_up):
        self.requests += 1
        request = Request(id=f"r{self.requests}", tool="mock_md", inputs={})
        work = owner.ledger.take_up if taking_up else lambda: owner.ledger.turn([Accepted(request, "k", "1", NOON)])
        before = self.file.read_bytes()
        if owner.claimed == self.claimed:
            work()
        else:
            with pytest.raises(FencedError, match="another Director has taken over this ledger"):
                work()
            assert self.file.read_bytes() == before

    @rule(owner=owners)
    def release(self, owner):
        owner.lease.release()
        owner.released = True
        self.released.add(owner.lease.life)

    def teardown(self):
        for owner in self.everyone:
            owner.ledger.close()
        shutil.rmtree(self.folder)


TestOneWriter = OneWriter.TestCase
TestOneWriter.settings = settings(max_examples=60, stateful_step_count=40)


# ---- the thread that keeps a lease


def keep(lease, **more):
    told = []
    lease.keep(told.append, **more)
    return told


def quick(folder, launch="one", expires_s=60.0):
    return Lease.acquire(folder, holder(launch), beat_s=0.02, expires_s=expires_s)


def test_a_kept_lease_stays_and_nobody_is_told_anything_when_it_is_released(tmp_path):
    lease = quick(tmp_path)
    told = keep(lease)
    with pytest.raises(HeldError):
        quick(tmp_path, "two")
    lease.release()
    assert at_once(tmp_path).life == 2
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("lease-")])
    assert told == []


def test_a_keeper_is_told_once_that_the_lease_was_removed(tmp_path):
    lease = quick(tmp_path / "lease")
    told = keep(lease)
    (tmp_path / "lease").rename(tmp_path / "elsewhere")
    wait_until(lambda: bool(told))
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("lease-")])
    [reason] = told
    assert reason.endswith("life-1.json was removed")
    lease.release()
    assert at_once(tmp_path / "lease").life == 1


def test_a_keeper_is_told_that_the_lease_cannot_be_renewed(tmp_path):
    lease = quick(tmp_path / "lease")
    (tmp_path / "lease").rename(tmp_path / "moved")
    (tmp_path / "lease").touch()
    told = keep(lease, patience_s=0.2)
    wait_until(lambda: bool(told))
    assert "could not be renewed for 0.2 s: [Errno 20] Not a directory" in told[0]


def test_a_keeper_is_told_that_the_file_system_hangs(tmp_path, monkeypatch):
    lease = quick(tmp_path)
    go_on = threading.Event()
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (go_on.wait(), replace(*paths)))
    told = keep(lease, patience_s=0.2)
    wait_until(lambda: bool(told))
    assert told == ["this Director's lease could not be renewed for 0.2 s: the file system does not answer"]
    assert acquire(tmp_path, "two").life == 2
    lease.release()  # does not wait for it
    go_on.set()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("lease-")])
    assert len(told) == 1


# ---- processes


DIRECTOR = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from director.lease import HeldError, Holder, Lease
from director.ledger import Accepted, FencedError, SqliteLedger
from simulations.records import Request

folder, launch, beat_s, expires_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
now = datetime.now(UTC)
me = Holder(run_id="r1", director=0, launch_id=launch, host="here", pid=os.getpid(), job_id=None, since=now)

def say(text):
    os.write(1, text.encode() + b"\\n")

say("ready")
sys.stdin.readline()
try:
    lease = Lease.acquire(folder / "lease", me, beat_s=beat_s, expires_s=expires_s)
except HeldError as error:
    say(f"held by {error.holder.launch_id} as life {error.life}")
    sys.exit()
lease.keep(lambda reason: say(f"fail {reason}"), patience_s=1000)
ledger = SqliteLedger(folder / "ledger.sqlite")
ledger.claim(lease.life)
say(f"life {lease.life}")
for line in sys.stdin:
    if line == "release\\n":
        lease.release()
        break
    try:
        ledger.turn([Accepted(Request(id=line.strip(), tool="mock_md", inputs={}), "k", "1", datetime.now(UTC))])
        say("written")
    except FencedError as error:
        say(f"fenced {error}")
"""


class Process:
    """A Director's lease and ledger in a process of its own."""

    def __init__(self, folder, launch, beat_s=0.05, expires_s=60.0):
        self._process = subprocess.Popen(
            [sys.executable, "-c", DIRECTOR, str(folder), launch, str(beat_s), str(expires_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.hear() == "ready"

    @property
    def pid(self):
        return self._process.pid

    def hear(self):
        return self._process.stdout.readline().strip()

    def say(self, text=""):
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def ask(self, text=""):
        self.say(text)
        return self.hear()

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self):
        return self._process.wait(timeout=60)

    def end(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def start(tmp_path):
    started = []

    def start(launch, **more):
        started.append(Process(tmp_path, launch, **more))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.mark.parametrize("waited_for", [True, False])
def test_a_holder_that_was_killed_on_this_machine_is_followed_at_once(tmp_path, start, waited_for):
    old = start("old")
    assert old.ask() == "life 1"
    it = ProcessId.of(old.pid)
    old.signal(signal.SIGKILL)
    if waited_for:
        old.wait()
    else:  # its threads may end a moment after it
        wait_until(lambda: it.gone(ProcessId.of(os.getpid())))
    assert at_once(tmp_path / "lease").life == 2


def test_a_holder_on_another_machine_is_waited_for_though_no_process_here_has_its_number(tmp_path, start):
    old = start("old", expires_s=0.5)
    assert old.ask() == "life 1"
    old.signal(signal.SIGKILL)
    old.wait()
    looks = []
    lease = Lease.acquire(
        tmp_path / "lease", holder(host="elsewhere"), clock=lambda: 0.5 * len(looks), sleep=looks.append
    )
    assert lease.life == 2
    assert len(looks) >= EXPIRES_S / 0.5


def test_a_frozen_holder_that_wakes_up_finds_itself_fenced(tmp_path, start):
    old = start("old")
    assert old.ask() == "life 1"
    assert old.ask("r1") == "written"
    old.signal(signal.SIGSTOP)
    new = start("new", expires_s=0.5)
    assert new.ask() == "life 2"
    assert new.ask("r2") == "written"
    before = (tmp_path / "ledger.sqlite").read_bytes()
    old.say("r3")
    old.signal(signal.SIGCONT)
    heard = sorted([old.hear(), old.hear()])
    assert heard[0].startswith("fail another Director has taken over from this one: life 2, process")
    assert f"process {new.pid} on here, launch new" in heard[0]
    assert heard[1].startswith("fenced another Director has taken over this ledger: it belongs to life 2, and this")
    assert (tmp_path / "ledger.sqlite").read_bytes() == before
    assert new.ask("r4") == "written"
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    assert ledger.known(["r1", "r2", "r3", "r4"]) == {"r1", "r2", "r4"}
    ledger.close()


def test_of_processes_that_race_for_a_lease_exactly_one_has_it_and_the_others_know_which(start):
    racers = {name: start(name) for name in ("a", "b", "c", "d")}
    for racer in racers.values():
        racer.say()
    heard = {name: racer.hear() for name, racer in racers.items()}
    [winner] = [name for name, text in heard.items() if text == "life 1"]
    assert {text for name, text in heard.items() if name != winner} == {f"held by {winner} as life 1"}
    assert all(racer.wait() == 0 for name, racer in racers.items() if name != winner)
    assert racers[winner].ask("r1") == "written"


def test_a_process_that_releases_is_followed_at_once(tmp_path, start):
    old = start("old")
    assert old.ask() == "life 1"
    old.say("release")
    assert old.wait() == 0
    assert at_once(tmp_path / "lease", host="elsewhere").life == 2


def test_a_process_is_gone_only_if_that_can_be_proved():
    me = ProcessId.of(os.getpid())
    assert not me.gone(me)
    assert me.model_copy(update={"started_ticks": me.started_ticks - 1}).gone(me)  # another one has its number now
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    it = ProcessId.of(ended.pid)
    assert not it.gone(me)
    ended.communicate()
    assert it.gone(me)
    assert not it.gone(None)
    for other in ({"boot": "another"}, {"namespace": "pid:[1]"}):
        assert not it.model_copy(update=other).gone(me)
    assert ProcessId.of(ended.pid) is None


def test_a_holder_says_when_it_began_in_words():
    since = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert str(Record.load(Record(holder=holder(), process=None, nonce="n").dump()).holder) == str(holder())
    assert str(holder().model_copy(update={"since": since, "job_id": None})).endswith(
        "on here, launch one, since 2026-03-04 05:06:07 UTC"
    )
