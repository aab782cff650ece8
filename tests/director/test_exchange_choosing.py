import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from director.door import Refused
from director.exchange import choose, run_token, settle
from director.exchange.choosing import read_or_make_secret, read_secret
from director.exchange.http import is_loopback
from director.exchange.redis import connection
from director.exchange.tokens import new_secret, run_of
from director.spec import ExchangeSpec

SECRET = "s" * 40
WITH_SECRET = {"DIRECTOR_EXCHANGE_SECRET": SECRET}


def problem(*arguments):
    """What is wrong with what a user gave."""
    with pytest.raises(Refused) as caught:
        choose(*arguments)
    (only,) = caught.value.problems
    assert only.hint
    assert SECRET not in str(only)
    return only


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\n")
    return path


def test_without_a_choice_each_run_has_its_own():
    choice = choose(None, None, WITH_SECRET)
    assert choice.kind == "loopback"
    with pytest.raises(ValueError, match="LoopbackExchange"):
        settle(choice, "run12345")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "https://x.example.org", "https://x.example.org/way/in/"])
def test_a_run_is_told_its_own_token_and_not_the_secret(url):
    spec = settle(choose(url, None, WITH_SECRET), "run12345")
    assert spec == ExchangeSpec(url=url.rstrip("/"), token=run_token(SecretStr(SECRET), "run12345"))
    assert SECRET not in spec.model_dump_json()


def test_a_file_comes_before_the_variable(secret_file):
    choice = choose("http://127.0.0.1:8700", secret_file, {"DIRECTOR_EXCHANGE_SECRET": "o" * 40})
    assert choice.secret == SecretStr(SECRET)
    assert SECRET not in repr(choice)


def test_redis_takes_a_password_or_none(secret_file):
    with_password = settle(choose("redis://user@h:6380/2", secret_file, {}), "run12345")
    assert with_password == ExchangeSpec(kind="redis", url="redis://user@h:6380/2", token=SecretStr(SECRET))
    assert settle(choose("redis://h", None, {}), "run12345").token is None
    host, port, options = connection(with_password.url, SECRET)
    assert (host, port, options["db"], options["username"], options["password"]) == ("h", 6380, 2, "user", SECRET)
    assert connection("rediss://h", None).kwargs["ssl"] is True
    assert connection("redis://h", None)[1] == 6379


def test_the_hosted_one_is_known_by_a_word():
    choice = choose("hosted", None, WITH_SECRET)
    assert choice.kind == "hosted"
    assert choice.url.startswith("https://")
    assert choice.secret is None


def test_what_is_not_encrypted_is_said():
    assert "not encrypted" in choose("http://x.example.org:8700", None, WITH_SECRET).note
    assert choose("https://x.example.org", None, WITH_SECRET).note is None
    assert choose("http://localhost:8700", None, WITH_SECRET).note is None
    assert "not encrypted" in choose("redis://x.example.org", None, {}).note
    assert "all runs" in choose("rediss://x.example.org", None, {}).note


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x.example.org:8700",
        "ftp://x.example.org",
        "http://",
        "http://:8700",
        "http://x.example.org:port",
        "http://x.example.org:99999",
        "http://[::1",
        " http://x.example.org",
        "http://x.example.org\n",
        "http://x.example.org?a=b",
        "http://x.example.org#a",
        "redis://x.example.org/one",
        "HOSTED",
    ],
)
def test_what_names_no_exchange_is_refused(url):
    assert problem(url, None, WITH_SECRET).where == "exchange"


@pytest.mark.parametrize("url", ["redis://:hush-hush@h", "redis://u:hush-hush@h", "http://u:hush-hush@h", "http://u@h"])
def test_a_password_does_not_belong_on_a_command_line(url):
    found = problem(url, None, WITH_SECRET)
    assert "list of processes" in found.message
    assert "hush-hush" not in str(found)
    assert "DIRECTOR_EXCHANGE_SECRET" in found.hint


def test_an_exchange_whose_secret_is_not_known_is_refused():
    found = problem("http://127.0.0.1:8700", None, {})
    assert "--exchange-secret" in found.hint


def test_a_secret_that_could_be_guessed_is_refused(tmp_path):
    assert "fewer than 32" in problem("http://h", None, {"DIRECTOR_EXCHANGE_SECRET": "short"}).message
    short = tmp_path / "short"
    short.touch(mode=0o600)
    short.write_text("short")
    with pytest.raises(Refused, match="fewer than 32"):
        read_or_make_secret(short)


@pytest.mark.parametrize("url", [None, "hosted"])
def test_a_secret_for_which_there_is_no_use_is_refused(url, secret_file):
    assert problem(url, secret_file, {}).where == "exchange-secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620, 0o610])
def test_a_secret_that_others_can_read_is_refused_with_the_remedy(secret_file, mode):
    secret_file.chmod(mode)
    found = problem("http://h", secret_file, {})
    assert f"chmod 600 {secret_file}" in found.hint
    assert f"{mode:04o}" in found.message


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe", b"x" * 5000, b"a\nb", b"a\x00b"])
def test_what_is_no_secret_is_refused(secret_file, content):
    secret_file.write_bytes(content)
    with pytest.raises(Refused, match="holds no secret"):
        read_secret(secret_file)


def test_a_secret_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(Refused, match="No such file"):
        read_secret(tmp_path / "none")
    with pytest.raises(Refused, match=r"holds no secret|directory"):
        read_secret(tmp_path)


def test_a_secret_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "new"
    made = read_or_make_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_or_make_secret(path) == made == read_secret(path)
    assert len(made.get_secret_value()) >= 40
    assert read_or_make_secret(tmp_path / "other") != made
    with pytest.raises(Refused, match="cannot be written"):
        read_or_make_secret(tmp_path / "none" / "new")


@given(st.from_regex(r"[a-z0-9]{8,32}", fullmatch=True), st.text(max_size=80))
def test_a_token_opens_its_own_run_and_nothing_else_does(run_id, other):
    secret = new_secret()
    token = run_token(secret, run_id).get_secret_value()
    assert run_of(secret, token) == run_id
    assert run_of(new_secret(), token) is None
    for wrong in (other, token + other if other else "", token[:-1], token.upper(), f"x{token}", f"{run_id}.{other}"):
        assert wrong == token or run_of(secret, wrong) is None


@pytest.mark.parametrize("run_id", ["", "a.b", "a b", "a/b", "a\n", "ä", "a" * 65])
def test_what_is_no_run_id_gets_no_token(run_id):
    with pytest.raises(ValueError, match="not a run id"):
        run_token(new_secret(), run_id)


@given(st.text(max_size=60))
def test_whatever_is_given_as_a_url_is_taken_or_refused(url):
    try:
        choice = choose(url, None, WITH_SECRET)
    except Refused:
        return
    assert choice.kind in ("http", "redis", "hosted")
    settle_kinds = {"http", "redis"}
    if choice.kind in settle_kinds:
        spec = settle(choice, "run12345")
        assert ExchangeSpec.model_validate(json.loads(spec.model_dump_json())) == spec
        is_loopback(spec.url)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.1.2.3", True),
        ("http://[::1]:8", True),
        ("http://localhost", True),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
        ("https://localhost.example.org", False),
    ],
)
def test_loopback_addresses_are_known(url, own):
    assert is_loopback(url) is own
