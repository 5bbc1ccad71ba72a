"""Tasks as values: one union, clear errors, and the shorthands that users type."""

import pytest

from partita.errors import RequestError
from partita.song.request import AdapterChoice, SongRequest
from partita.song.source import AudioRef
from partita.song.task import TASKS, Cover, Extract, Lego, Repaint, TextToMusic


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_comes_back_from_json(kind):
    needed = {"source": "a.wav", "track": "drums", "start_s": 0, "end_s": 1, "of_seed": 1}
    task = kind(**{name: value for name, value in needed.items() if name in kind.model_fields})
    request = SongRequest(caption="x", task=task)
    assert type(request.task) is kind
    assert SongRequest.from_json(request.model_dump_json()) == request


def test_a_path_stands_for_a_source():
    assert Cover(source="a.wav").source == AudioRef(path="a.wav")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [{}, {"path": "a", "sha256": "0" * 64}, {"sha256": "12"}])
def test_a_source_is_a_path_or_a_hash(value):
    with pytest.raises(RequestError):
        AudioRef(**value)


def test_codes_can_be_given_as_the_text_that_planners_write():
    assert TextToMusic(codes="<|audio_code_7|><|audio_code_63999|>").codes == (7, 63_999)  # pyright: ignore


@pytest.mark.parametrize("codes", ["", "hello", "<|audio_code_64000|>", (64_000,), (-1,)])
def test_codes_that_are_none_are_refused(codes):
    with pytest.raises(RequestError, match="codes"):
        TextToMusic(codes=codes)


@pytest.mark.parametrize("kind", [Extract, Lego])
def test_an_unknown_track_is_refused_with_the_known_ones(kind):
    with pytest.raises(RequestError, match=r"track cannot be 'banjo'.*'guitar'"):
        kind(source="a.wav", track="banjo")


def test_an_unknown_task_is_refused():
    with pytest.raises(RequestError, match="mix"):
        SongRequest(caption="x", task={"kind": "mix"})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("fields", [{"strength": 1.5}, {"noise_strength": -0.1}, {"start_s": 1.0}])
def test_fields_are_those_of_the_task(fields):
    with pytest.raises(RequestError, match=next(iter(fields))):
        Cover(source="a.wav", **fields)


def test_a_region_cannot_begin_before_the_source():
    with pytest.raises(RequestError, match="start_s"):
        Repaint(source="a.wav", start_s=-1)  # pyright: ignore[reportArgumentType]


def test_words_may_be_left_out_where_there_is_a_source():
    assert SongRequest(task=Repaint(source="a.wav", start_s=1)).caption == ""  # pyright: ignore[reportArgumentType]
    with pytest.raises(RequestError, match="both empty"):
        SongRequest()


@pytest.mark.parametrize(
    ("text", "name", "strength"),
    [
        ("voice", "voice", 1.0),
        ("voice:0.5", "voice", 0.5),
        ("C:\\voices\\a", "C:\\voices\\a", 1.0),
        ("a:-1", "a", -1.0),
    ],
)
def test_an_adapter_can_be_given_as_text(text, name, strength):
    request = SongRequest(caption="x", adapters=(text,))  # pyright: ignore[reportArgumentType]
    assert request.adapters == (AdapterChoice(name=name, strength=strength),)
