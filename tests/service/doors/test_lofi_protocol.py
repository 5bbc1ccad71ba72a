"""The lines of lofi.nvim's daemon and what may stand in them: every row of its tables, without a process."""

import json

import pytest
from hypothesis import given, strategies as st

from partita.service.doors.lofi.asked import read_order, track_id
from partita.service.doors.lofi.backends import ACE_STEP, MUSICGEN
from partita.service.doors.lofi.config import LofiConfig, cache_root
from partita.service.doors.lofi.protocol import (
    FAULTS,
    LONGEST_OUTPUT_BYTES,
    Framer,
    RpcError,
    answer,
    fault,
    notification,
    read_call,
    refusal,
)
from partita.service.doors.lofi.table import rows
from partita.service.doors.table import as_markdown
from partita.song.request import MAX_SEED

CONFIG = LofiConfig.of_environment({"XDG_CACHE_HOME": "/nowhere"})


def order(config=CONFIG, **params):
    return read_order({"prompt": "lofi beats", **params}, config)


def refused(call, *arguments, **named):
    with pytest.raises(RpcError) as caught:
        call(*arguments, **named)
    return caught.value


# Framing


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=8), st.data())
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer, got = Framer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += framer.feed(stream[start:end])
    assert got == lines
    assert framer.end() == []


def test_the_last_line_needs_no_newline():
    framer = Framer()
    assert framer.feed(b"one\ntwo") == [b"one"]
    assert framer.end() == [b"two"]


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_is_read():
    framer = Framer(longest_bytes=10)
    assert framer.feed(b"x" * 9) == []
    assert framer.feed(b"x" * 9) == []
    assert framer.feed(b"x\nnext\n") == [None, b"next"]


# Envelope


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b'"text"',
        b"{}",
        b'{"jsonrpc":"2.0","method":"ping"}',
        b'{"jsonrpc":"2.0","method":"ping","id":null}',
        b'{"jsonrpc":"2.0","method":"ping","id":1.0}',
        b'{"jsonrpc":"2.0","method":"ping","id":true}',
        b'{"jsonrpc":"2.0","method":"ping","id":{}}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","method":5,"id":1}',
        b'{"method":"ping","id":1}',
        b'{"jsonrpc":"2.0","method":"ping","id":1,"params":{"x":NaN}}',
        b'{"jsonrpc":"2.0","method":"ping","id":1,"params":{"x":1e999}}',
        b'{"jsonrpc":"2.0","method":"ping","id":"\\ud800"}',
        b'{"jsonrpc":"2.0","method":"ping","id":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"\xff\xfe",
        None,
    ],
)
def test_what_is_no_request_is_a_parse_error_without_an_id(line):
    error = refused(read_call, line)
    told = json.loads(refusal(error))
    assert told["id"] is None
    assert told["error"]["code"] == -32700
    assert told["error"]["message"].startswith("Invalid JSON: ")
    assert "data" not in told["error"]


def test_another_version_is_refused_with_the_id():
    error = refused(read_call, b'{"jsonrpc":"1.0","method":"ping","id":"seven"}')
    assert json.loads(refusal(error)) == {
        "jsonrpc": "2.0",
        "id": "seven",
        "error": {"code": -32600, "message": "Invalid JSON-RPC version (expected 2.0)"},
    }


def test_what_neovim_writes_is_read():
    call = read_call(b'{"params":[],"method":"get_backends","id":3,"jsonrpc":"2.0","more":1}\r')
    assert (call.request_id, call.method, call.params) == (3, "get_backends", [])
    escaped = '{"jsonrpc":"2.0","id":1,"method":"generate","params":{"prompt":"käse \\/ rain"}}'
    assert read_call(escaped.encode()).params == {"prompt": "käse / rain"}


def test_answers_echo_the_id_with_its_type_in_raw_utf_8():
    assert json.loads(answer("7", {}))["id"] == "7"
    assert json.loads(answer(7, {}))["id"] == 7
    line = notification("generation_complete", {"prompt": "käse ♫"})
    assert "käse ♫".encode() in line
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=1000))
def test_a_line_about_any_prompt_fits_a_pipe(prompt):
    prompt = prompt.encode()[:1000].decode(errors="ignore")
    line = notification("generation_complete", {"prompt": prompt, "path": "/p" * 100})
    assert len(line) <= LONGEST_OUTPUT_BYTES
    told = json.loads(line)["params"]["prompt"]
    assert prompt.startswith(told)
    if prompt.isprintable():
        assert told == prompt


def test_a_prompt_of_control_characters_is_cut():
    line = notification("generation_complete", {"prompt": "\x01" * 1000})
    assert len(line) <= LONGEST_OUTPUT_BYTES
    assert json.loads(line)["params"]["prompt"].startswith("\x01" * 300)


def test_the_numbers_of_the_errors():
    assert [code for code, _ in FAULTS.values()] == list(range(-32000, -32012, -1))
    told = json.loads(refusal(fault("QUEUE_FULL", "why"), 4))
    assert told["id"] == 4
    assert told["error"] == {
        "code": -32004,
        "message": "Queue full",
        "data": {"error_code": "QUEUE_FULL", "details": "why"},
    }


# Parameters of generate


def test_the_usual_values():
    one = order()
    assert (one.duration_s, one.priority, one.backend) == (30, "normal", MUSICGEN)
    assert 0 <= one.seed <= MAX_SEED
    two = order(backend="ace_step")
    assert (two.steps, two.scheduler, two.guidance_scale) == (60, "euler", 15.0)


def test_null_is_as_good_as_absent():
    nulls = dict.fromkeys(
        ("duration_sec", "seed", "priority", "backend", "inference_steps", "scheduler", "guidance_scale")
    )
    assert order(**nulls).duration_s == 30


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        {},
        5,
        "prompt",
        ["lofi"],
        {"prompt": None},
        {"prompt": 5},
        {"prompt": "x", "duration_sec": 10.5},
        {"prompt": "x", "duration_sec": -1},
        {"prompt": "x", "duration_sec": "10"},
        {"prompt": "x", "duration_sec": True},
        {"prompt": "x", "seed": -1},
        {"prompt": "x", "seed": 2**64},
        {"prompt": "x", "seed": 0.5},
        {"prompt": "x", "seed": "1"},
        {"prompt": "x", "priority": "High"},
        {"prompt": "x", "priority": 1},
        {"prompt": "x", "priority": []},
        {"prompt": "x", "backend": 1},
        {"prompt": "x", "inference_steps": 1.5},
        {"prompt": "x", "inference_steps": "60"},
        {"prompt": "x", "scheduler": 1},
        {"prompt": "x", "guidance_scale": "7"},
        {"prompt": "x", "guidance_scale": False},
    ],
)
def test_params_of_the_wrong_shape(params):
    error = refused(read_order, params, CONFIG)
    assert error.code == -32602
    assert error.message.startswith("Invalid params: ")
    assert error.data is None


@pytest.mark.parametrize(
    ("params", "error_code", "details"),
    [
        (
            {"backend": "suno"},
            "INVALID_BACKEND",
            "Unknown backend: 'suno'. Valid options: 'musicgen', 'ace_step'",
        ),
        ({"prompt": ""}, "INVALID_PROMPT", "Prompt cannot be empty"),
        ({"prompt": " \t"}, "INVALID_PROMPT", "Prompt cannot be empty"),
        ({"prompt": "ä" * 501}, "INVALID_PROMPT", "Prompt too long: 1002 characters (max 1000)"),
        (
            {"duration_sec": 4},
            "INVALID_DURATION",
            "Duration 4 is outside valid range of 5-120 seconds for musicgen backend",
        ),
        (
            {"duration_sec": 121},
            "INVALID_DURATION",
            "Duration 121 is outside valid range of 5-120 seconds for musicgen backend",
        ),
        (
            {"duration_sec": 241, "backend": "ace_step"},
            "INVALID_DURATION",
            "Duration 241 is outside valid range of 5-240 seconds for ace_step backend",
        ),
        (
            {"inference_steps": 0, "backend": "ace_step"},
            "INVALID_INFERENCE_STEPS",
            "Inference steps 0 is outside valid range of 1-200",
        ),
        (
            {"inference_steps": 201, "backend": "ace_step"},
            "INVALID_INFERENCE_STEPS",
            "Inference steps 201 is outside valid range of 1-200",
        ),
        (
            {"guidance_scale": 0.5, "backend": "ace_step"},
            "INVALID_GUIDANCE_SCALE",
            "Guidance scale 0.5 is outside valid range of 1.0-30.0",
        ),
        (
            {"guidance_scale": 31.0, "backend": "ace_step"},
            "INVALID_GUIDANCE_SCALE",
            "Guidance scale 31 is outside valid range of 1.0-30.0",
        ),
        (
            {"scheduler": "ddim", "backend": "ace_step"},
            "INVALID_SCHEDULER",
            "Unknown scheduler: 'ddim'. Valid options: 'euler', 'heun', 'pingpong'",
        ),
    ],
)
def test_values_out_of_range(params, error_code, details):
    error = refused(order, **params)
    assert (error.code, error.message) == FAULTS[error_code]
    assert error.data == {"error_code": error_code, "details": details}


def test_the_order_of_the_checks():
    wrong = {
        "backend": "suno",
        "prompt": "",
        "duration_sec": 1,
        "inference_steps": 0,
        "guidance_scale": 0,
        "scheduler": "ddim",
    }
    right = {
        "backend": "ace_step",
        "prompt": "x",
        "duration_sec": 5,
        "inference_steps": 1,
        "guidance_scale": 1,
        "scheduler": "HEUN",
    }
    seen = []
    for name in wrong:
        seen.append(refused(order, **wrong).code)
        wrong[name] = right[name]
    assert seen == [-32007, -32006, -32005, -32009, -32010, -32011]
    assert order(**wrong).scheduler == "heun"


def test_musicgen_looks_at_the_type_of_sampling_and_not_at_its_range():
    one = order(inference_steps=0, guidance_scale=99, scheduler="ddim")
    assert one.parameters == {}
    assert refused(order, inference_steps="x").code == -32602


@pytest.mark.parametrize("name", ["ace_step", "acestep", "ACE-Step", "Ace_Step"])
def test_spellings_of_ace_step(name):
    assert order(backend=name).backend is ACE_STEP


@pytest.mark.parametrize("name", ["musicgen", "music-gen", "MUSIC_GEN"])
def test_spellings_of_musicgen(name):
    assert order(backend=name).backend is MUSICGEN


def test_whole_numbers_may_have_a_point():
    one = order(seed=1.2345678901234e14, duration_sec=10.0, inference_steps=20.0, backend="ace_step")
    assert (one.seed, one.duration_s, one.steps) == (123456789012340, 10, 20)
    assert isinstance(one.seed, int)


def test_ids_of_tracks():
    assert order(seed=42).track_id == "b37faaa28f0a0136"
    assert order(seed=42, backend="ace_step", inference_steps=9).track_id == "656a4879556fe4dc"
    assert order(prompt="käse", seed=0, duration_sec=5).track_id == "fccff0890dceb77f"
    assert track_id("musicgen", "lofi beats", 42, 30, "musicgen-small-fp16-v1") == "b37faaa28f0a0136"


@given(st.integers(0, 2**64 - 1))
def test_every_seed_has_one_of_the_engine(seed):
    one = order(seed=seed)
    assert one.seed == seed
    assert 0 <= one.song_seed <= MAX_SEED
    assert one.song_seed == order(seed=seed).song_seed
    if seed <= MAX_SEED:
        assert one.song_seed == seed


def test_progress_counts_tokens_or_steps():
    assert order(duration_sec=30).units == 1503
    assert order(backend="ace_step", scheduler="heun").units == 60


# Environment


def test_the_environment_is_honoured(tmp_path):
    config = LofiConfig.of_environment(
        {
            "LOFI_MODEL_PATH": str(tmp_path / "MusicGen-Medium-FP32"),
            "LOFI_ACE_STEP_MODEL_PATH": str(tmp_path / "ace"),
            "LOFI_CACHE_PATH": str(tmp_path / "tracks"),
            "LOFI_DEVICE": "CoreML",
            "LOFI_BACKEND": "ACE-Step",
            "LOFI_THREADS": "3",
            "LOFI_ACE_STEP_STEPS": "27",
            "LOFI_ACE_STEP_SCHEDULER": "PingPong",
            "LOFI_ACE_STEP_GUIDANCE": "7.5",
        }
    )
    assert (config.tracks, config.device, config.threads) == (tmp_path / "tracks", "mps", 3)
    one = order(config)
    assert (one.backend, one.steps, one.scheduler, one.guidance_scale) == (ACE_STEP, 27, "pingpong", 7.5)
    assert order(config, guidance_scale=4).guidance_scale == 4.0
    assert order(config, backend="musicgen").model_version == "musicgen-medium-fp32-v1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOFI_DEVICE", "tpu"),
        ("LOFI_BACKEND", "suno"),
        ("LOFI_THREADS", "0"),
        ("LOFI_THREADS", "257"),
        ("LOFI_THREADS", "many"),
        ("LOFI_ACE_STEP_STEPS", "201"),
        ("LOFI_ACE_STEP_SCHEDULER", "ddim"),
        ("LOFI_ACE_STEP_GUIDANCE", "20.5"),
        ("LOFI_ACE_STEP_GUIDANCE", "nan"),
        ("LOFI_CACHE_PATH", ""),
        ("XDG_CACHE_HOME", "not/absolute"),
    ],
)
def test_bad_values_are_ignored(name, value):
    assert LofiConfig.of_environment({name: value}) == LofiConfig.of_environment({})


def test_the_folders_of_each_system(tmp_path):
    assert str(cache_root({"XDG_CACHE_HOME": str(tmp_path)}, "linux")) == str(tmp_path / "lofi.nvim")
    assert cache_root({}, "linux").parts[-2:] == (".cache", "lofi.nvim")
    assert cache_root({}, "darwin").parts[-3:] == ("Library", "Caches", "lofi.nvim")
    assert cache_root({"LOCALAPPDATA": str(tmp_path)}, "win32") == tmp_path / "lofi.nvim" / "cache"
    config = LofiConfig.of_environment({"XDG_CACHE_HOME": str(tmp_path)})
    folders = (config.tracks, config.musicgen_path, config.ace_step_path)
    assert [folder.name for folder in folders] == ["tracks", "musicgen", "ace-step"]


# Table

FIELDS = {"prompt", "duration_sec", "seed", "priority", "backend", "inference_steps", "scheduler", "guidance_scale"}


@pytest.mark.parametrize("model", ["built-in", "ace-step-v1", "ace-step-1.5-turbo"])
def test_every_field_has_a_row_and_stands_in_the_docs(model, pytestconfig):
    assert {row.name for row in rows(model)} == FIELDS
    text = (pytestconfig.rootpath / "docs" / "doors" / "lofi.md").read_text(encoding="utf-8")
    assert model == "ace-step-1.5-turbo" or as_markdown(rows(model)) in text
