import uuid

import pytest
from academy.identifier import AgentId, UserId
from academy.message import ActionRequest, ActionResponse, Message
from academy.serialize import SerializationStrategy
from hypothesis import given
from hypothesis import strategies as st

from director.exchange.errors import ExchangeError
from director.exchange.once import Once

USER, AGENT = UserId.new(), AgentId.new()
TAGS = [uuid.UUID(int=number) for number in range(6)]


def call(tag):
    body = ActionRequest(action="status", serialization=SerializationStrategy.JSON)
    return Message.create(src=USER, dest=AGENT, body=body, tag=tag)


def answer(tag):
    body = ActionResponse(result={}, serialization=SerializationStrategy.JSON)
    return call(tag).create_response(body)


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "answer", "call", "give up"]), st.sampled_from(TAGS))))
def test_each_call_arrives_once_and_each_answer_once_for_each_time_of_asking(events):
    once, waiting, taken = Once(), set(), []
    for what, tag in events:
        if what == "ask":
            once.asked(call(tag))
            waiting.add(tag)
        elif what == "fail":
            once.not_asked(call(tag))
            waiting.discard(tag)
        elif what == "answer":
            assert once.is_new(answer(tag)) is (tag in waiting)
            waiting.discard(tag)
        elif what == "call":
            if once.is_new(call(tag)):
                taken.append(tag)
        else:
            assert {message.tag for message in once.give_up(ExchangeError("gone"))} == waiting
            waiting = set()
    assert sorted(taken) == sorted(set(taken))
    assert set(taken) == {tag for what, tag in events if what == "call"}


def test_a_call_that_is_given_up_ends_with_the_error():
    once = Once()
    once.asked(call(TAGS[0]))
    (told,) = once.give_up(ExchangeError("the exchange was started again", "Make the call again"))
    assert (told.dest, told.src, told.tag) == (USER, AGENT, TAGS[0])
    with pytest.raises(ExchangeError, match="Make the call again"):
        raise told.get_body().get_exception()


def test_only_the_latest_calls_are_remembered():
    once = Once(remembered=2)
    assert [once.is_new(call(tag)) for tag in TAGS[:3]] == [True] * 3
    assert not once.is_new(call(TAGS[2]))
    assert not once.is_new(call(TAGS[1]))
    assert once.is_new(call(TAGS[0]))
