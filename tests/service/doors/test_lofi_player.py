"""What the door of lofi.nvim plays: the built-in model, ACE-Step v1 on a tiny checkpoint, and what the record says."""

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from partita.audio.tags import read_record
from partita.errors import Cancelled
from partita.service.doors.choice import Choice
from partita.service.doors.lofi import program
from partita.service.doors.lofi.asked import read_order
from partita.service.doors.lofi.backends import ACE_STEP, MUSICGEN
from partita.service.doors.lofi.config import LofiConfig
from partita.service.doors.lofi.player import Player, _fields
from partita.song.record import Record
from partita.weights.catalog import catalog
from tests.weights import v1_checkpoints as v1


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Nothing of this user is seen or changed."""
    for name in ("PARTITA_MODEL", "PARTITA_CHECKPOINT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARTITA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PARTITA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "MODELSCOPE_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def config(**environment):
    return LofiConfig.of_environment({"LOFI_THREADS": "1", **environment})


def play(settings, path, **params):
    order = read_order({"prompt": "lofi beats", "duration_sec": 5, "seed": 42, **params}, settings)
    shares = []
    played = Player(settings).play(order, path, on_share=shares.append)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    return played, Record.from_json(read_record(path) or "")


def test_the_built_in_model_plays_for_musicgen(tmp_path):
    played, record = play(config(), tmp_path / "a.wav")
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.samplerate, info.channels, info.subtype) == (32_000, 2, "FLOAT")
    assert info.frames == 32_000 * played.duration_s == 160_000
    assert record.request.model == played.model == "built-in"
    assert set(played.notes) <= set(record.warnings)
    assert any("musicgen" in note and "built-in plays" in note for note in played.notes)
    left, right = soundfile.read(tmp_path / "a.wav")[0].T
    assert np.abs(left - right).max() > 0.001
    again, _ = play(config(), tmp_path / "b.wav")
    assert again.duration_s == played.duration_s
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_what_has_no_effect_is_in_the_record(tmp_path):
    played, record = play(
        config(LOFI_DEVICE="metal"),
        tmp_path / "a.wav",
        backend="ace_step",
        prompt="rain\x00\n\x1b[31m night",
        seed=2**40 + 7,
        inference_steps=10,
        scheduler="heun",
    )
    assert soundfile.info(tmp_path / "a.wav").samplerate == played.sample_rate_hz == 48_000
    for words in ("ace-step-v1", "inference_steps", "scheduler", "longer than 32 bits", "LOFI_DEVICE"):
        assert sum(words in note for note in record.warnings) == 1, words
    assert not any("guidance_scale" in note for note in record.warnings)
    assert record.request.caption == "rain   [31m night"
    assert record.request.seeds == (2**8 + 7,)


def test_ace_step_v1_plays_from_the_folder_that_the_environment_names(tmp_path):
    v1.write_v1_checkpoint(tmp_path / "ace")
    settings = config(LOFI_ACE_STEP_MODEL_PATH=str(tmp_path / "ace"))
    assert Player(settings).model_for(ACE_STEP) == "ace-step-v1"
    assert Player(settings).model_for(MUSICGEN) == "built-in"
    played, record = play(
        settings, tmp_path / "a.wav", backend="ace_step", inference_steps=3, scheduler="pingpong", guidance_scale=4
    )
    assert (played.model, played.notes) == ("ace-step-v1", ())
    sampling = record.request.sampling
    assert (sampling.steps, sampling.solver, sampling.guidance_scale) == (3, "sde", 4.0)
    assert record.request.instrumental
    assert soundfile.info(tmp_path / "a.wav").samplerate == 48_000


def test_files_of_lofi_daemon_are_said_to_be_of_no_use(tmp_path, caplog):
    for name in ("musicgen-fp32", "ace"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text_encoder.onnx").write_text("")
    settings = config(LOFI_MODEL_PATH=str(tmp_path / "musicgen-fp32"), LOFI_ACE_STEP_MODEL_PATH=str(tmp_path / "ace"))
    assert Player(settings).model_for(ACE_STEP) == "built-in"
    assert [name for name in ("musicgen-fp32", "ace") if f"{name} holds ONNX files" in caplog.text] == [
        "musicgen-fp32",
        "ace",
    ]


@pytest.mark.parametrize("card", catalog(), ids=lambda card: card.id)
def test_sampling_goes_to_the_model_that_it_is_for_alone(card):
    order = read_order({"prompt": "x", "backend": "ace_step"}, config())
    assert ("sampling" in _fields(order, Choice(card))) == (card.id == "ace-step-v1")


def test_a_song_is_cancelled(tmp_path):
    order = read_order({"prompt": "x", "duration_sec": 120}, config())
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        Player(config()).play(order, tmp_path / "a.wav", on_share=lambda _: cancel.set(), cancel=cancel)
    assert not (tmp_path / "a.wav").exists()


def test_what_can_be_downloaded(tmp_path):
    player = Player(config())
    assert "built-in plays" in (player.whole(MUSICGEN) or "")
    assert player.whole(ACE_STEP) is None


# The command line


def test_one_song(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOFI_THREADS", "1")
    assert program.main(["-p", "lofi", "-d", "5", "-s", "7", "-o", "deep/er.wav"]) == 0
    assert soundfile.info("deep/er.wav").frames == 160_000
    assert capsys.readouterr().out == ""
    assert program.main(["-p", "lofi", "-d", "5", "-b", "ace-step", "--steps", "9", "-o", "b.wav"]) == 0
    warnings = Record.from_json(read_record(Path("b.wav")) or "").warnings
    assert [name for name in ("inference_steps", "scheduler") if name in str(warnings)] == ["inference_steps"]
    capsys.readouterr()
    assert program.main(["--prompt", " "]) == 1
    assert capsys.readouterr().err.startswith("Error: ")


def test_usage_help_and_version(capsys):
    assert program.main([]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "--daemon" in told.err
    assert program.main(["-V"]) == 0
    assert capsys.readouterr().out.startswith("lofi-daemon 0.1.0")
    with pytest.raises(SystemExit) as left:
        program.main(["--help"])
    assert left.value.code == 0
    assert "--model-dir" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--duration", "4"],
        ["--duration", "241"],
        ["--duration", "x"],
        ["--seed", "-1"],
        ["--seed", str(2**64)],
        ["--backend", "suno"],
        ["--scheduler", "ddim"],
        ["--nothing"],
        ["--steps"],
    ],
)
def test_options_that_are_wrong(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        program.main(["--prompt", "x", *arguments])
    assert left.value.code == 2
