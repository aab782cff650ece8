"""Which run a user means, and what comes first when it could be several."""

import pytest

from director.cli.target import choose_remote, find_target, known
from director.door import Refused
from director.exchange import ExchangeChoice, run_token
from director.exchange.tokens import new_secret
from director.runs import KnownExchange, RunStore
from tests.director.test_runs import submitted

SECRET = new_secret()
URL = "http://127.0.0.1:8700"


@pytest.fixture
def laptop(tmp_path, monkeypatch):
    """A laptop's home and working folder, with the secret of an exchange."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIRECTOR_HOME", str(tmp_path / "kept"))
    for name in ("DIRECTOR_EXCHANGE", "DIRECTOR_EXCHANGE_SECRET", "DIRECTOR_EXCHANGE_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET.get_secret_value())
    return tmp_path


def remember(laptop, run_id="abcd12345678"):
    exchange = KnownExchange(kind="http", url=URL, secret_file=str(laptop / "secret"))
    run = submitted(run_id).model_copy(update={"exchange": exchange})
    RunStore(laptop / "kept").add(run, [])
    return run


def a_folder(path):
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    return path


def test_a_run_folder_is_meant_by_its_path(laptop):
    folder = a_folder(laptop / "runs" / "mine")
    for word in ("runs/mine", str(folder), "runs/mine/", "runs/../runs/mine"):
        target = find_target(word, None, None)
        assert target.folder is not None
        assert (target.folder.path, target.run, target.exchange) == (folder, None, None)


def test_a_path_is_a_folder_also_when_no_run_is_in_it_yet(laptop):
    assert find_target("runs/none", None, None).folder.path == laptop / "runs" / "none"


def test_a_folder_beside_us_comes_before_a_run_of_this_name(laptop):
    remember(laptop, "abcd12345678")
    assert find_target("abcd12345678", None, None).run is not None
    folder = a_folder(laptop / "abcd12345678")
    assert find_target("abcd12345678", None, None).folder.path == folder


def test_a_folder_without_a_run_does_not_hide_a_run_of_this_name(laptop):
    run = remember(laptop)
    (laptop / run.run_id).mkdir()
    assert find_target(run.run_id, None, None).run == run


def test_a_submitted_run_is_found_by_how_its_name_begins_with_its_exchange_and_its_secret(laptop):
    run = remember(laptop)
    target = find_target("abcd", None, None)
    assert (target.run_id, target.run, target.folder) == (run.run_id, run, None)
    assert target.remembered() == run
    assert (target.spec.kind, target.spec.url, target.spec.host) == ("http", URL, None)
    assert target.spec.token == run_token(SECRET, run.run_id)
    assert SECRET.get_secret_value() not in repr(target)


def test_an_ambiguous_beginning_is_refused(laptop):
    remember(laptop, "abcd12345678")
    remember(laptop, "abce12345678")
    with pytest.raises(Refused, match="abcd12345678, abce12345678"):
        find_target("abc", None, None)


def test_what_the_user_says_now_comes_before_what_is_remembered(laptop):
    run = remember(laptop)
    other = new_secret()
    file = laptop / "other"
    file.touch(mode=0o600)
    file.write_text(other.get_secret_value())
    moved = find_target("abcd", "http://127.0.0.1:9999", file)
    assert moved.spec.url == "http://127.0.0.1:9999"
    assert moved.spec.token == run_token(other, run.run_id)
    same_place = find_target("abcd", None, file)
    assert same_place.spec.url == URL
    assert same_place.spec.token == run_token(other, run.run_id)


def test_the_secret_of_one_exchange_is_not_taken_to_another(laptop):
    remember(laptop)
    with pytest.raises(Refused, match=r"the secret of http://127\.0\.0\.1:9999 is not known"):
        find_target("abcd", "http://127.0.0.1:9999", None)


def test_a_secret_that_others_can_read_is_refused(laptop):
    remember(laptop)
    (laptop / "secret").chmod(0o644)
    with pytest.raises(Refused, match="others can read or write"):
        find_target("abcd", None, None)


def test_a_run_that_was_submitted_elsewhere_needs_its_exchange(laptop):
    with pytest.raises(Refused, match="no run folder abcd12345678, and no run of this name is known here"):
        find_target("abcd12345678", None, None)
    target = find_target("abcd12345678", URL, laptop / "secret")
    assert (target.run_id, target.run, target.folder) == ("abcd12345678", None, None)
    assert target.spec.token == run_token(SECRET, "abcd12345678")
    with pytest.raises(Refused, match="was not submitted from here"):
        target.remembered()


@pytest.mark.parametrize("word", ["my.run", "a b", "x" * 65, "é", "a\n"])
def test_a_word_that_cannot_be_a_runs_name_is_refused(laptop, word):
    with pytest.raises(Refused):
        _ = find_target(word, URL, laptop / "secret").spec


def test_looking_for_a_run_writes_nothing(laptop):
    with pytest.raises(Refused):
        find_target("abcd", None, None)
    assert not (laptop / "kept").exists()


def test_a_folder_has_no_exchange_of_its_own_to_tell(laptop):
    target = find_target(str(a_folder(laptop / "run")), None, None)
    with pytest.raises(Refused, match="was not submitted"):
        _ = target.spec
    with pytest.raises(Refused, match="was not submitted from here"):
        target.remembered()


def test_who_does_not_say_means_the_hosted_exchange(laptop):
    assert choose_remote(None, None, {}).kind == "hosted"
    assert choose_remote(URL, None, {"DIRECTOR_EXCHANGE_SECRET": SECRET.get_secret_value()}).secret == SECRET


def test_what_is_remembered_of_an_exchange_is_where_its_secret_is(laptop):
    choice = ExchangeChoice("http", URL, SECRET)
    remembered = known(choice, (laptop / "secret").relative_to(laptop))
    assert remembered == KnownExchange(kind="http", url=URL, secret_file=str(laptop / "secret"))
    assert SECRET.get_secret_value() not in remembered.model_dump_json()
    assert known(ExchangeChoice("hosted", "https://x"), None).secret_file is None
