"""A text is told token by token, and its writing stops when nobody listens."""

from __future__ import annotations

import pytest

from engine.predict import EngineError, stream
from tests.engine.warmth import until

SEED = {"max_new_tokens": 30, "seed": 3}


def streamed(ask, *inputs, **parameters):
    return stream(socket_path=ask.server, order=ask.order, inputs=list(inputs), parameters=parameters)


def test_pieces_together_are_the_text_that_is_answered_at_once(writes):
    whole = writes("the ", **SEED)[0]
    *pieces, last = streamed(writes, "the ", **SEED)
    assert len(pieces) > 3
    assert "".join(piece["piece"] for piece in pieces) == last["completion"]
    assert last == whole


def test_whoever_leaves_stops_the_model(writes):
    made = streamed(writes, "the ", max_new_tokens=1000, temperature=0)
    next(made)
    pid = writes.pids()
    made.close()
    assert writes("the ", **SEED)  # long before a thousand tokens
    until(lambda: writes.told()["requests"] >= 2)
    assert writes.pids() == pid


def test_a_wrong_parameter_is_told_at_the_first_step(writes):
    with pytest.raises(EngineError, match="temperature"):
        next(streamed(writes, "the ", temperature=-1))


def test_a_model_that_writes_nothing_answers_at_once(sorts):
    assert [answer["label"] for answer in streamed(sorts, "apple pear plum")] == ["fruit"]
