"""Reading `config.json`."""

from __future__ import annotations

import pytest

from partita.errors import ModelError
from partita.models.acestep15.config import AceStepConfig
from tests.models.acestep15.small import PUBLISHED_2B, PUBLISHED_XL, SMALL


def test_unknown_keys_are_ignored():
    assert AceStepConfig.from_json(PUBLISHED_2B | {"vocab_size": 64003}) == AceStepConfig.from_json(PUBLISHED_2B)


def test_absent_encoder_sizes_fall_back_to_the_decoder():
    config = AceStepConfig.from_json(PUBLISHED_2B)
    assert config.encoder_block == config.decoder_block


def test_encoder_sizes_mark_an_xl_model():
    assert AceStepConfig.from_json(PUBLISHED_XL).timbre_class_token
    assert not AceStepConfig.from_json(PUBLISHED_2B).timbre_class_token


@pytest.mark.parametrize("values", [PUBLISHED_2B, PUBLISHED_XL, SMALL])
def test_json_form_reads_back_equal(values: dict):
    config = AceStepConfig.from_json(values)
    assert AceStepConfig.from_json(config.to_json()) == config


def test_even_layers_slide_and_odd_layers_do_not():
    config = AceStepConfig.from_json(PUBLISHED_2B)
    assert [config.window(layer) for layer in range(4)] == [128, None, 128, None]


def test_without_sliding_windows_every_layer_sees_everything():
    config = AceStepConfig.from_json(PUBLISHED_2B | {"use_sliding_window": False})
    assert config.window(0) is None


@pytest.mark.parametrize("key", ["hidden_size", "head_dim", "in_channels", "text_hidden_dim"])
def test_a_missing_key_is_named(key: str):
    with pytest.raises(ModelError, match=f"`{key}`") as caught:
        AceStepConfig.from_json({name: value for name, value in SMALL.items() if name != key})
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", "2048"),
        ("hidden_size", 0),
        ("hidden_size", 2.5),
        ("hidden_size", float("inf")),
        ("hidden_size", True),
        ("layer_types", ["full_attention", "other"]),
        ("layer_types", ["full_attention"]),
        ("fsq_input_levels", [8, "5"]),
        ("use_sliding_window", 1),
        ("attention_bias", True),
        ("hidden_act", "gelu"),
        ("rope_scaling", {"rope_type": "yarn"}),
        ("fsq_input_num_quantizers", 2),
        ("num_attention_heads", 3),
    ],
)
def test_a_bad_value_is_named(key: str, value: object):
    with pytest.raises(ModelError) as caught:
        AceStepConfig.from_json(SMALL | {key: value})
    assert caught.value.key == key
