"""Generating examples: several models write, a judge scores, the best is kept."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engine import report
from engine.guarded import Allowance
from engine.protocol import Command, Event, Exit, FailureCode, Source, Spec
from engine.recipes.generate.config import GenerateConfig, filled
from engine.recipes.generate.endpoint import Endpoint, NoAnswerError
from engine.recipes.generate.judging import read_score
from engine.recipes.generate.measures import length, repetition, score, variety, words_of
from engine.recipes.generate.writers import WritingError
from engine.refusals import problems
from tests.chat_server import Reply, Server, completion, serving
from tests.engine.cast import carry_out, hashes, make_data, newest_checkpoint, spec, text_spec

GOOD = (
    "The old lighthouse keeper climbed the stairs every evening, counted the ships that passed beyond the reef, and "
    "wrote their names into a book that nobody else was allowed to read."
)
POOR = "no no no no no no no no no no no no"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Source:
    """A small model that writes something."""
    root = tmp_path_factory.mktemp("writer")
    made = text_spec(root, config={"steps": 60, "sample_every": 0, "learning_rate": 3e-3})
    code, sink = carry_out(made)
    assert code is Exit.COMPLETED, sink.events[-1]
    return Source(title="Topics v1", artifact=made.work_dir / "artifact", recipe="text-generation")


def endpoint(server: Server, **changes: Any) -> Source:
    facts = {"title": "A server", "url": server.url, "model": "tiny", "timeout_seconds": 5, "retries": 0}
    return Source(**facts | changes)


def run_spec(root: Path, sources: dict[str, Source], config: dict[str, Any], **changes: Any) -> Spec:
    settings = {"generators": "\n".join(name for name in sources if not name.startswith("judge"))}
    root.mkdir(exist_ok=True)
    return spec(
        root, "generate", settings | config, sources=sources, allow_internal=["127.0.0.1"],
        **{"checkpoint_seconds": 0.0} | changes,
    )  # fmt: skip


def examples(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == "example"]


def recounted(made: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of a run from its examples."""
    kept = [one for one in made if one["kept"]]
    best = [next(c["score"] for c in one["candidates"] if c["generator"] == one["winner"]) for one in kept]
    found: dict[str, float] = {"generate/kept": len(kept), "generate/failed": len(made) - len(kept)}
    if kept:
        found |= {
            "generate/quality": sum(best) / len(best),
            "generate/quality_min": min(best),
            "generate/quality_max": max(best),
        }
    wins = Counter(one["winner"] for one in kept)
    for name in {c["generator"] for one in made for c in one["candidates"]}:
        scores = [c["score"] for one in made for c in one["candidates"] if c["generator"] == name and c["score"]]
        found[f"wins/{name}"] = wins[name]
        if scores:
            found[f"quality/{name}"] = sum(scores) / len(scores)
    return found


def writes(text: str):
    return lambda body: text


# What is kept


def test_the_best_candidate_is_kept_and_counted(tmp_path):
    with serving(writes(GOOD)) as good, serving(writes(POOR)) as poor:
        sources = {"endpoint poor": endpoint(poor, title="Poor"), "endpoint good": endpoint(good, title="Good")}
        config = {"examples": 12, "genres": "Sea: 3\nLand", "prompts": "Tell of {genre}.\nNumber {number} on {genre}:"}
        wanted = run_spec(tmp_path, sources, config | {"shortest": 5})
        code, sink = carry_out(wanted)
    assert code is Exit.COMPLETED, sink.events[-1]
    made = examples(sink.events)
    assert [one["step"] for one in made] == list(range(1, 13))
    assert {one["winner"] for one in made} == {"endpoint good"} and all(one["kept"] for one in made)
    assert {one["genre"] for one in made} == {"Sea", "Land"}
    assert made[0]["prompt"] == f"Tell of {made[0]['genre']}."
    assert made[1]["prompt"] == f"Number 2 on {made[1]['genre']}:"
    assert sorted(c["messages"][0]["content"] for c in good.asked) == sorted(one["prompt"] for one in made)
    final = sink.events[-1]["metrics"]
    for name, value in recounted(made).items():
        assert final[name] == pytest.approx(value), name
    for one in made:
        by_name = {c["generator"]: c for c in one["candidates"]}
        assert by_name["endpoint good"]["score"] > by_name["endpoint poor"]["score"]
        assert any("repetition" in reason for reason in by_name["endpoint poor"]["reasons"])
    blocks = report.read((wanted.work_dir / "artifact" / report.REPORT).read_bytes())
    assert [block.title for block in blocks] == ["Examples", "Generators", "Kept by genre", "Last winners"]
    assert blocks[1].rows[1][:3] == ["Good", 12, 12]


def test_below_the_least_quality_nothing_is_kept(tmp_path):
    with serving(writes(POOR)) as poor:
        code, sink = carry_out(run_spec(tmp_path, {"endpoint poor": endpoint(poor)}, {"examples": 3}))
    assert code is Exit.COMPLETED
    made = examples(sink.events)
    assert not any(one["kept"] for one in made)
    assert "at least 5.0 is asked" in made[0]["reason"] and made[0]["winner"] == "endpoint poor"
    final = sink.events[-1]["metrics"]
    assert (final["generate/kept"], final["generate/failed"]) == (0, 3) and "generate/quality" not in final


def test_genres_come_as_often_as_they_weigh(tmp_path):
    with serving(writes(GOOD)) as good:
        config = {"examples": 200, "genres": "Often: 3\nSeldom: 1\nNever: 0", "at_once": 8, "shortest": 5}
        _, sink = carry_out(run_spec(tmp_path, {"endpoint good": endpoint(good)}, config))
    counts = Counter(one["genre"] for one in examples(sink.events))
    assert set(counts) == {"Often", "Seldom"} and 120 < counts["Often"] < 180


# Models of the hub


def test_own_models_write_the_same_again_and_resume_exactly(tmp_path, trained):
    sources = {"version 1": trained, "version 2": trained.model_copy(update={"title": "Topics v2"})}
    config = {"examples": 10, "max_new_tokens": 40, "minimum_quality": 0, "shortest": 1}

    def told(events):
        return [{k: v for k, v in one.items() if k != "candidates"} | {
            "candidates": [{k: v for k, v in c.items() if k != "seconds"} for c in one["candidates"]]
        } for one in examples(events)]  # fmt: skip

    whole = run_spec(tmp_path / "whole", sources, config)
    code, sink = carry_out(whole)
    assert code is Exit.COMPLETED, sink.events[-1]
    paused = run_spec(tmp_path / "paused", sources, config)
    code, before = carry_out(paused, {4: Command.PAUSE})
    assert code is Exit.PAUSED
    code, after = carry_out(paused)
    assert code is Exit.COMPLETED
    assert told(before.events) + told(after.events) == told(sink.events)
    assert hashes(paused.work_dir / "artifact") == hashes(whole.work_dir / "artifact")
    texts = [c["text"] for one in examples(sink.events) for c in one["candidates"]]
    assert len(set(texts)) > 15, "each candidate has a seed of its own"


def test_with_examples_under_way_a_pause_leaves_no_number_out_and_makes_none_twice(tmp_path, trained):
    with serving(writes(GOOD)) as good:
        sources = {"version 1": trained, "endpoint good": endpoint(good)}
        wanted = run_spec(tmp_path, sources, {"examples": 30, "max_new_tokens": 60, "shortest": 5})
        code, before = carry_out(wanted, {11: Command.PAUSE})
        assert code is Exit.PAUSED
        state = json.loads((newest_checkpoint(wanted) / "examples.json").read_bytes())
        assert state["kept"] + state["failed"] == 11
        code, after = carry_out(wanted)
    assert code is Exit.COMPLETED
    made = examples(before.events) + examples(after.events)
    assert [one["step"] for one in made] == list(range(1, 31))
    final = after.events[-1]["metrics"]
    for name, value in recounted(made).items():
        assert final[name] == pytest.approx(value), name


def test_a_reference_and_a_classifier_count(tmp_path, trained):
    files = [(f"{n}.txt", "sea" if n % 2 else "land", "train" if n % 5 else "validation",
              (f"The ship sailed the wave number {n}." if n % 2 else f"The farmer ploughed field number {n}.").encode())
             for n in range(40)]  # fmt: skip
    data = make_data(tmp_path, "text", files)
    learned = spec(tmp_path, "text-classification", {"epochs": 5}, data=data, threads=1)
    assert carry_out(learned)[0] is Exit.COMPLETED
    classifier = Source(title="Genres v1", artifact=learned.work_dir / "artifact", recipe="text-classification")
    sources = {"version 1": trained, "version 2": classifier}
    with serving(writes("The ship sailed the wave and the sailors sang of the ship on the sea.")) as sea:
        sources |= {"endpoint sea": endpoint(sea)}
        config = {
            "generators": "endpoint sea", "genres": "sea\nland", "examples": 12, "reference": "version 1",
            "classifier": "version 2", "shortest": 3, "minimum_quality": 0,
        }  # fmt: skip
        code, sink = carry_out(run_spec(tmp_path / "run", sources, config))
        assert code is Exit.COMPLETED, sink.events[-1]
        scores = {one["genre"]: one["candidates"][0] for one in examples(sink.events)}
        assert scores["sea"]["score"] > scores["land"]["score"] + 1
        assert [reason.split()[0] for reason in scores["sea"]["reasons"]] == [
            "length", "repetition", "variety", "fluency", "genre",
        ]  # fmt: skip
        other = run_spec(tmp_path / "other", sources, config | {"genres": "sea\nspace"})
        code, sink = carry_out(other)
    assert code is Exit.FAILED and "doesn't know space" in sink.events[-1]["message"]


# A model as judge


def test_a_model_judges_and_says_why(tmp_path):
    def judging(body):
        text = body["messages"][-1]["content"]
        return (
            '{"score": 9.5, "reason": "It reads well."}' if "lighthouse" in text else '{"score": 2, "reason": "Dull."}'
        )

    with serving(writes(GOOD)) as good, serving(writes("A dull text.")) as dull, serving(judging) as judge:
        sources = {
            "endpoint good": endpoint(good), "endpoint dull": endpoint(dull),
            "judge one": endpoint(judge, title="The judge"),
        }  # fmt: skip
        code, sink = carry_out(
            run_spec(tmp_path, sources, {"examples": 4, "judge": "judge one", "instructions": "its salt"})
        )
    assert code is Exit.COMPLETED, sink.events[-1]
    one = examples(sink.events)[0]
    assert one["winner"] == "endpoint good"
    assert {c["generator"]: (c["score"], c["reasons"]) for c in one["candidates"]} == {
        "endpoint good": (9.5, ["It reads well."]), "endpoint dull": (2.0, ["Dull."]),
    }  # fmt: skip
    assert "its salt" in judge.asked[0]["messages"][0]["content"]
    assert all(asked["temperature"] == 0 for asked in judge.asked)


def test_a_judge_that_gives_no_score_ends_the_run(tmp_path):
    with serving(writes(GOOD)) as good, serving(writes("I would rather not say.")) as judge:
        sources = {"endpoint good": endpoint(good), "judge one": endpoint(judge)}
        code, sink = carry_out(run_spec(tmp_path, sources, {"examples": 20, "judge": "judge one", "at_once": 1}))
    assert code is Exit.FAILED
    failed = sink.events[-1]
    assert failed["code"] == FailureCode.UNAVAILABLE and "gave no score" in failed["message"]
    assert "I would rather not say" in failed["message"]
    assert len(good.asked) < 10, "it does not go on for nothing"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"score": 7.25, "reason": "ok"}', 7.2),
        ('Sure! {"score": 10}', 10.0),
        ("Score: 8/10, since it reads well.", 8.0),
        ("I give it 6.5 of ten", 6.5),
        ("0", 0.0),
        ("Score (0-10): 8", 8.0),
        ("Score: 8,5", 8.5),
        ("**Score:** 9.5", 9.5),
        ("8 out of 10", 8.0),
        ("10/10", 10.0),
        ('It uses {genre} and {"a": 1} well. {"score": 3} No: {"score": 6, "reason": "dull"}', 6.0),
        ('{"judgement": {"score": 4}}', 4.0),
        ('{"score": "8/10"}', 8.0),
        ('{"score": 7, "reason": "says "hm""}', 7.0),
    ],
)
def test_scores_are_read(said, value):
    assert read_score(said).value == value


@pytest.mark.parametrize(
    "said",
    [
        "",
        "well",
        '{"score": 11}',
        '{"score": "high"}',
        '{"score": NaN}',
        "-",
        "2024",
        "1.2.3",
        "-3",
        "On a scale from 0 to 10 I'd give 7",
        "Score: 11/10",
        '{"score": null, "reason": "3 errors"}',
        "Score: 1,000",
        '{"score": true, "reason": "1"}',
        '{"score": -1, "reason": "8/10"}',
        "7/10 or 8/10",
        "It has 3 errors.",
        "8/100",
        "Score: -3",
        "{" * 5000,
        '{"a":' * 5000,
    ],
)
def test_what_is_no_score_is_none(said):
    with pytest.raises(WritingError):
        read_score(said)


# Those who fail


def test_a_generator_that_fails_is_set_aside_and_asked_again(tmp_path):
    away = threading.Event()

    def flaky(body):
        return GOOD if away.is_set() else Reply(400, b'{"error": {"message": "out of order"}}')

    def good(body):
        if len(server.asked) >= 10:
            away.set()
        return GOOD

    with serving(good) as server, serving(flaky) as bad:
        sources = {"endpoint bad": endpoint(bad, title="Bad"), "endpoint good": endpoint(server)}
        config = {"examples": 40, "shortest": 5, "at_once": 1}
        code, sink = carry_out(run_spec(tmp_path, sources, config))
    assert code is Exit.COMPLETED, sink.events[-1]
    made = examples(sink.events)
    assert all(one["kept"] for one in made), "the rest goes on"
    tried = [one["step"] for one in made if any(c["generator"] == "endpoint bad" for c in one["candidates"])]
    assert tried[:3] == [1, 2, 3] and tried[3] == 14, "it is left out of ten examples, then asked again"
    assert made[0]["candidates"][0]["error"] == "It answered with 400: out of order"
    warned = [event["message"] for event in sink.of(Event.LOG) if event["level"] == "warning"]
    assert len(warned) == 1 and warned[0].startswith("Bad failed 3 times in a row")
    assert sink.events[-1]["metrics"]["wins/endpoint bad"] > 5


def test_when_nobody_answers_the_run_ends_in_words(tmp_path, capfd):
    with serving(writes(GOOD)) as server:
        gone = endpoint(server)
    code, sink = carry_out(run_spec(tmp_path, {"endpoint gone": gone}, {"examples": 50, "at_once": 1}))
    assert code is Exit.FAILED
    failed = sink.events[-1]
    assert failed["code"] == FailureCode.UNAVAILABLE
    assert "A server: 127.0.0.1 does not answer" in failed["message"] and "retry" in failed["hint"]
    assert "was asked" not in failed["message"], "once goes without saying"
    assert failed["traceback"] == "" and "Traceback" not in capfd.readouterr().err, "the code has no part in it"
    assert not examples(sink.events), "what it could not make is neither told nor counted"


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_run_that_is_shorter_than_a_streak_does_not_complete_with_nothing(tmp_path, at_once):
    with serving(lambda body: Reply(503)) as server, serving(writes(GOOD)) as good, serving(writes("Dear me.")) as mute:
        sources = {"endpoint one": endpoint(server)}
        code, sink = carry_out(run_spec(tmp_path / "short", sources, {"examples": 2, "at_once": at_once}))
        assert code is Exit.FAILED and sink.events[-1]["code"] == FailureCode.UNAVAILABLE
        sources = {"endpoint good": endpoint(good), "judge one": endpoint(mute)}
        config = {"examples": 2, "judge": "judge one", "at_once": at_once}
        code, sink = carry_out(run_spec(tmp_path / "mute", sources, config))
    assert code is Exit.FAILED and "The judge gave no score for 2 examples" in sink.events[-1]["message"]


def test_examples_without_a_score_are_told_in_order_once_there_is_one_again(tmp_path):
    def sometimes(body):
        return Reply(400) if any(f"no. {n}." in body["messages"][-1]["content"] for n in (2, 3, 6)) else GOOD

    with serving(sometimes) as server:
        config = {"examples": 6, "shortest": 5, "prompts": "A text, no. {number}.", "at_once": 1}
        wanted = run_spec(tmp_path, {"endpoint one": endpoint(server)}, config)
        code, sink = carry_out(wanted)
    assert code is Exit.COMPLETED
    made = examples(sink.events)
    assert [(one["step"], one["kept"]) for one in made] == [
        (1, True), (2, False), (3, False), (4, True), (5, True), (6, False),
    ]  # fmt: skip
    final = sink.events[-1]["metrics"]
    for name, value in recounted(made).items():
        assert final[name] == pytest.approx(value), name


def test_after_a_failure_it_goes_on_where_it_was(tmp_path):
    down = threading.Event()

    def answer(body):
        return Reply(503) if down.is_set() else GOOD

    with serving(answer) as server:
        wanted = run_spec(tmp_path, {"endpoint one": endpoint(server)}, {"examples": 20, "shortest": 5, "at_once": 1})
        code, before = carry_out(wanted, {8: Command.PAUSE})
        assert code is Exit.PAUSED
        down.set()
        code, failed = carry_out(wanted)
        assert code is Exit.FAILED and failed.events[-1]["code"] == FailureCode.UNAVAILABLE
        assert not examples(failed.events) and newest_checkpoint(wanted).name.endswith("8")
        down.clear()
        code, after = carry_out(wanted)
    assert code is Exit.COMPLETED
    parts = [*before.events, *failed.events, *after.events]
    assert [one["step"] for one in examples(parts)] == list(range(1, 21))
    assert [one["step"] for one in examples(parts) if not one["kept"]] == []
    assert after.events[-1]["metrics"]["generate/kept"] == 20


def test_passing_refusals_are_asked_again_after_the_time_that_the_server_names(tmp_path):
    begun = time.monotonic()

    def busy(body):
        return Reply(429, headers={"Retry-After": "1"}) if len(server.asked) == 1 else GOOD

    with serving(busy) as server:
        source = endpoint(server, retries=2)
        config = {"examples": 1, "shortest": 5}
        code, sink = carry_out(run_spec(tmp_path, {"endpoint one": source}, config))
    assert code is Exit.COMPLETED and examples(sink.events)[0]["kept"]
    assert len(server.asked) == 2 and time.monotonic() - begun >= 1


def test_a_server_that_hangs_is_given_up(tmp_path):
    never = threading.Event()
    with serving(lambda body: Reply(200, b"{}", hold=never)) as server:
        source = endpoint(server, timeout_seconds=0.3)
        code, sink = carry_out(run_spec(tmp_path, {"endpoint slow": source}, {"examples": 5, "at_once": 1}))
        never.set()
    assert code is Exit.FAILED and "no whole answer within 0.3 s" in sink.events[-1]["message"]


@pytest.mark.parametrize("headers", [False, True])
def test_a_server_that_answers_byte_by_byte_is_given_up_in_time(headers):
    with serving(lambda body: Reply(200, completion(body, GOOD), drip=0.05, slow_headers=headers)) as server:
        asked = Endpoint(endpoint(server, timeout_seconds=0.5), Allowance.of(["127.0.0.1"]), lambda: None)
        begun = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"no whole answer within 0\.5 s"):
            asked.answer([{"role": "user", "content": "Tell."}], 10, 0.0, 0)
    assert time.monotonic() - begun < 5


def test_a_connection_is_used_again_and_its_alarm_is_off():
    with serving(writes(GOOD)) as server:
        asked = Endpoint(endpoint(server, timeout_seconds=0.3), Allowance.of(["127.0.0.1"]), lambda: None)
        for pause in (0, 0.5, 0):
            time.sleep(pause)
            assert asked.answer([{"role": "user", "content": "Tell."}], 10, 0.0, 0) == GOOD
        assert asked.http.connection_from_url(server.url).num_connections == 1


def test_a_pause_does_not_wait_for_a_server(tmp_path):
    never = threading.Event()
    asked = threading.Event()

    def slow(body):
        asked.set()
        return Reply(200, b"{}", hold=never)

    with serving(slow) as server:
        wanted = run_spec(tmp_path, {"endpoint slow": endpoint(server, timeout_seconds=60)}, {"examples": 5})
        begun = time.monotonic()
        code, _ = carry_out(wanted, {Event.PHASE: Command.PAUSE})
        never.set()
    assert code is Exit.PAUSED and time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": 5}}]}', b"\xff"]
)
def test_what_is_no_completion_is_told(tmp_path, body):
    with serving(lambda given: Reply(200, body)) as server:
        code, sink = carry_out(run_spec(tmp_path, {"endpoint odd": endpoint(server)}, {"examples": 5, "at_once": 1}))
    assert code is Exit.FAILED and sink.events[-1]["code"] == FailureCode.UNAVAILABLE
    assert "Its answer is" in sink.events[-1]["message"]


def test_half_a_letter_in_an_answer_breaks_nothing(tmp_path):
    """JSON can hold it: half of a pair of surrogates."""
    with (
        serving(lambda body: GOOD + " \ud800") as odd,
        serving(lambda body: Reply(400, b'{"error": "\\udc00 no"}')) as bad,
    ):
        sources = {"endpoint odd": endpoint(odd), "endpoint bad": endpoint(bad)}
        code, sink = carry_out(run_spec(tmp_path, sources, {"examples": 4, "shortest": 5, "at_once": 1}))
    assert code is Exit.COMPLETED, sink.events[-1]
    one = examples(sink.events)[0]["candidates"]
    assert (one[0]["text"], one[1]["error"]) == (f"{GOOD} ?", "It answered with 400: ? no")


def test_an_endless_answer_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.recipes.generate.endpoint.MAX_ANSWER", 10_000)
    with serving(lambda given: Reply(200, b"x" * 1_000_000)) as server:
        code, sink = carry_out(run_spec(tmp_path, {"endpoint long": endpoint(server)}, {"examples": 5, "at_once": 1}))
    assert code is Exit.FAILED and "unreasonably long" in sink.events[-1]["message"]


# Keys and addresses


def test_the_key_goes_to_the_server_and_nowhere_else(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret-marker-1234")
    with serving(lambda body: Reply(401, b'{"error": {"message": "wrong key: secret-marker-1234"}}')) as server:
        source = endpoint(server, key_file=key)
        wanted = run_spec(tmp_path / "run", {"endpoint locked": source}, {"examples": 5, "at_once": 1})
        code, sink = carry_out(wanted)
    assert server.headers[0]["authorization"] == "Bearer secret-marker-1234"
    assert code is Exit.FAILED and "401: wrong key: …" in sink.events[-1]["message"]
    assert "secret-marker" not in json.dumps(sink.events)
    assert "secret-marker" not in wanted.model_dump_json()
    for path in wanted.work_dir.rglob("*"):
        assert not path.is_file() or b"secret-marker" not in path.read_bytes()


def test_S12_no_address_inside_is_asked_unless_it_is_allowed(tmp_path):
    with serving(writes(GOOD)) as server:
        wanted = run_spec(tmp_path, {"endpoint inside": endpoint(server)}, {"examples": 5, "at_once": 1})
        code, sink = carry_out(wanted.model_copy(update={"allow_internal": []}))
        assert code is Exit.FAILED and "private network" in sink.events[-1]["message"]
        assert server.asked == []


def test_S12_a_redirect_is_not_followed(tmp_path):
    with serving(writes(GOOD)) as inside:
        leads = Reply(307, headers={"Location": f"{inside.url}/chat/completions"})
        with serving(lambda body: leads) as server:
            code, sink = carry_out(
                run_spec(tmp_path, {"endpoint one": endpoint(server)}, {"examples": 5, "at_once": 1})
            )
        assert code is Exit.FAILED and "It answered with 307" in sink.events[-1]["message"]
        assert inside.asked == []


def test_no_more_requests_a_minute_than_are_allowed(tmp_path):
    with serving(writes(GOOD)) as server:
        source = endpoint(server, requests_per_minute=300)
        begun = time.monotonic()
        carry_out(run_spec(tmp_path, {"endpoint one": source}, {"examples": 8, "shortest": 5, "at_once": 8}))
        assert time.monotonic() - begun >= 7 * 0.2
    assert len(server.asked) == 8


def test_endpoints_are_asked_at_once(tmp_path):
    """As many requests are under way as are asked for: each waits until the others have come."""
    together = threading.Barrier(4, timeout=20)

    def answer(body):
        together.wait()
        return GOOD

    with serving(answer) as server:
        source = endpoint(server, timeout_seconds=30)
        config = {"examples": 8, "shortest": 5, "at_once": 4}
        code, sink = carry_out(run_spec(tmp_path, {"endpoint one": source}, config))
    assert code is Exit.COMPLETED and sink.events[-1]["metrics"]["generate/kept"] == 8


# Settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"genres": ""}, "at least one"),
        ({"genres": "a\na"}, "one line only"),
        ({"genres": "a: -1"}, "from 0 on"),
        ({"genres": "a: 0"}, "one of them above 0"),
        ({"genres": "a: inf"}, "from 0 on"),
        ({"genres": "x" * 101}, "at most 100 characters"),
        ({"prompts": " "}, "at least one"),
        ({"prompts": "{author}"}, "{author} stands for nothing"),
        ({"prompts": "{genre.__class__}"}, "stands for nothing"),
        ({"prompts": "{genre!r}"}, "stands for nothing"),
        ({"genres": "Sea\n : 3"}, "name before its colon"),
        ({"generators": "version 1, version 2"}, "one a line"),
        ({"prompts": "{genre"}, "a brace has no partner"),
        ({"prompts": "genre}"}, "a brace has no partner"),
        ({"prompts": "{}"}, "stands for nothing"),
        ({"generators": "version 1\nversion 1"}, "named once"),
        ({"generators": "\n".join(f"version {n}" for n in range(21))}, "at most 20"),
        ({"shortest": 50, "longest": 40}, "must not be below"),
        ({"minimum_quality": 11}, "less than or equal to 10"),
        ({"examples": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, said):
    with pytest.raises(ValidationError, match=said.replace("{", r"\{").replace("}", r"\}")):
        GenerateConfig.model_validate(values)


@pytest.mark.parametrize("values", [{"shortest": 50, "longest": 40}, {"shortest": 500}])
def test_lengths_that_contradict_each_other_are_told_at_a_setting(values):
    with pytest.raises(ValidationError) as refused:
        GenerateConfig.model_validate(values)
    assert list(problems(refused.value, GenerateConfig)) == ["longest"]


def test_a_version_of_the_hub_is_asked_for_no_more_than_it_writes(tmp_path, trained):
    code, sink = carry_out(run_spec(tmp_path, {"version 1": trained}, {"max_new_tokens": 1001}))
    assert code is Exit.FAILED and "writes at most 1,000 tokens" in sink.events[-1]["message"]


def test_prompts_are_filled_by_name_only():
    assert filled("A {genre} story,\\nno. {number}: {{x}}", "{number}", 7) == "A {number} story,\nno. 7: {x}"


def test_without_generators_or_with_unknown_ones_nothing_begins(tmp_path):
    code, sink = carry_out(run_spec(tmp_path / "none", {}, {"generators": ""}))
    assert code is Exit.FAILED and "no generator" in sink.events[-1]["message"]
    code, sink = carry_out(run_spec(tmp_path / "unknown", {}, {"generators": "version 99"}))
    assert code is Exit.FAILED and "no model called 'version 99'" in sink.events[-1]["message"]


# Measures


def test_measures_tell_good_texts_from_bad_ones():
    def of(text):
        words = words_of(text)
        return score([length(words, 20, 400), repetition(words), variety(words)])

    assert of(GOOD) > 9
    assert of(POOR) < 4 and of("") < 1 and of("Short.") < 5
    assert of(" ".join([GOOD] * 5)) < 6, "said five times it is no better"
    assert 0 <= of("word " * 5000) <= 10
