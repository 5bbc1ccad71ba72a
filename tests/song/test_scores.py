import pytest
from hypothesis import given, strategies as st

from partita.song.scores import Candidate, Fault, LyricsFound, Mark, Scores, choice_record, ranked, reason


def mark(component, score, name="tempo", said="said"):
    return Mark(name=name, component=component, score=score, said=said)


def candidate(seed, overall=0.5, said="about 100 BPM", lyrics=None):
    return Candidate(seed=seed, scores=Scores.of([mark("metadata", overall, said=said)], [], lyrics=lyrics))


@pytest.mark.parametrize(
    ("marks", "overall"),
    [
        ([("caption", 0.75)], 0.75),
        ([("metadata", 1.0), ("metadata", 0.5)], 0.75),
        ([("caption", 0.8), ("lyrics", 0.6), ("metadata", 0.9)], 0.76),
        ([("lyrics", 1.0), ("metadata", 0.0)], 0.6),
        ([], 1.0),
    ],
)
def test_components_are_weighted_as_published_and_shared_out_among_those_there_are(marks, overall):
    assert Scores.of([mark(*one) for one in marks], []).overall == pytest.approx(overall)


@given(st.lists(st.tuples(st.sampled_from(["caption", "lyrics", "metadata"]), st.floats(0, 1)), max_size=6))
def test_weights_sum_to_one_and_the_fit_lies_between_its_marks(marks):
    scores = Scores.of([mark(*one) for one in marks], [])
    if marks:
        assert sum(one.weight for one in scores.components) == pytest.approx(1)
        values = [value for _, value in marks]
        assert min(values) - 1e-9 <= scores.fit <= max(values) + 1e-9


def test_faults_take_off_one_after_another():
    faults = [Fault(name="clipping", taken_off=0.5, said="s"), Fault(name="hole", taken_off=0.2, said="s")]
    scores = Scores.of([mark("caption", 0.5)], faults)
    assert scores.sound == pytest.approx(0.4)
    assert scores.overall == pytest.approx(0.2)


def test_the_best_is_first_and_of_equals_the_first_seed():
    order = ranked([candidate(4, 0.2), candidate(5, 0.9), candidate(6, 0.9), candidate(7, 0.3)])
    assert [one.seed for one in order] == [5, 6, 7, 4]


def test_what_differs_by_rounding_is_equal():
    order = ranked([candidate(1, 0.9), candidate(2, 0.90000001)])
    assert [one.seed for one in order] == [1, 2]


def test_of_equals_the_better_sung_is_first():
    def sung(score):
        return LyricsFound(score=score, coverage=1, monotonicity=1, confidence=score, conditions_score=0)

    order = ranked([candidate(1, lyrics=sung(0.1)), candidate(2, lyrics=sung(0.2))])
    assert [one.seed for one in order] == [2, 1]


def test_the_reason_names_what_the_best_is_better_in():
    text = reason(ranked([candidate(1, 0.2, "108 BPM"), candidate(2, 1.0, "120 BPM")]))
    assert text == (
        "Seed 2 is the best of 2 with 1.000, before seed 1 with 0.200. It is better in tempo (120 BPM, and there "
        "108 BPM)."
    )


def test_the_reason_names_faults_of_the_second():
    hole = Fault(name="drop-outs", taken_off=0.1, said="2 holes")
    faulty = Candidate(seed=1, scores=Scores.of([mark("metadata", 1.0)], [hole]))
    assert "drop-outs (there 2 holes)" in reason(ranked([faulty, candidate(2, 1.0)]))


def test_the_reason_admits_a_tie_and_a_single_song():
    assert "equally good" in reason(ranked([candidate(1), candidate(2)]))
    assert "only one" in reason([candidate(1)])


def test_the_record_keeps_every_candidate_in_words():
    kept = choice_record(ranked([candidate(1, 0.2), candidate(2, 0.9)]))
    assert (kept.best_of, [one.seed for one in kept.candidates]) == (2, [2, 1])
    assert kept.candidates[1].said == ("0.200 tempo: about 100 BPM",)
    assert type(kept).model_validate_json(kept.model_dump_json()) == kept
