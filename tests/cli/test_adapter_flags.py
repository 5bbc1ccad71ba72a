import pytest

from tests.fakes import FakeLoader
from tests.weights.adapter_files import kohya, lora_factors, network

TURBO = ("--model", "ace-step-1.5-turbo")


@pytest.fixture
def adapter(home, monkeypatch):
    """A LoRA on the shelf for the network that is loaded: its name."""
    load = FakeLoader.load
    monkeypatch.setattr(FakeLoader, "load", lambda self, part: network() if part == "transformer" else load(self, part))
    kohya(home.parent / "data" / "adapters" / "voice.safetensors", lora_factors(network()))
    return "voice"


def chosen(answer):
    assert answer.code == 0, answer.err
    adapters = answer.json["songs"][0]["record"]["request"]["adapters"]
    return [(one["facts"]["name"], one["strength"]) for one in adapters]


def test_an_adapter_is_given_by_name_or_path_with_its_strength(partita, home, adapter):
    path = kohya(home / "other.safetensors", lora_factors(network(), 2))
    flags = ["--adapter", f"{adapter}:0.5", "--adapter", str(path)]
    assert chosen(partita("generate", "x", "--duration", "1", *TURBO, *flags, "--json")) == [
        ("voice", 0.5),
        ("other", 1),
    ]


def test_a_retake_has_the_adapters_of_its_song(partita, home, adapter):
    path = kohya(home / "other.safetensors", lora_factors(network(), 2))
    flags = ["--adapter", f"{adapter}:0.5", "--adapter", f"{path}:0.25", "--output", "a.flac"]
    assert partita("generate", "x", "--duration", "1", *TURBO, *flags).code == 0
    assert chosen(partita("retake", "a.flac", "--json")) == [("voice", 0.5), ("other", 0.25)]
    path.unlink()
    gone = partita("retake", "a.flac")
    assert (gone.code, "other" in gone.err) == (5, True)


def test_an_adapter_for_another_model_is_refused_before_anything_is_sampled(partita, home, adapter, renderer):
    path = kohya(home / "larger.safetensors", lora_factors(network(hidden_size=48)))
    answer = partita("generate", "x", "--duration", "1", *TURBO, "--adapter", str(path))
    assert answer.code == 3, answer.err
    assert "larger" in answer.err
    assert "ace-step-1.5-turbo" in answer.err
    assert renderer.sampled == 0


def test_a_model_without_adapters_names_those_that_take_them(partita, adapter, renderer):
    answer = partita("generate", "x", "--model", "built-in", "--adapter", adapter)
    assert answer.code == 2
    assert "built-in takes no adapters" in answer.err
    assert "ace-step-1.5-turbo" in answer.err
    assert renderer.sampled == 0
