import json
from pathlib import Path

import pytest

from partita.weights import naming
from tests.weights import checkpoints

MANIFESTS = Path(__file__).parents[3] / "shared" / "manifests"


def test_comfyui_names_of_the_codec_turn_into_exactly_the_published_ones() -> None:
    stored = checkpoints.comfyui_vae()
    found = [naming.comfyui_vae(name) for name in stored]
    assert len(set(found)) == len(found)
    assert set(found) == set(checkpoints.vae()[1])
    assert [naming.comfyui_vae(f"vae.{name}") for name in stored] == found


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("encoder.layers.1.layers.0.layers.1.weight_v", "encoder.block.0.res_unit1.conv1.weight_v"),
        ("encoder.layers.5.layers.4.bias", "encoder.block.4.conv1.bias"),
        ("decoder.layers.2.layers.1.weight_g", "decoder.block.1.conv_t1.weight_g"),
        ("decoder.layers.5.layers.4.layers.2.beta", "decoder.block.4.res_unit3.snake2.beta"),
        ("decoder.layers.6.alpha", "decoder.snake1.alpha"),
        ("encoder.layers.7.weight_g", "encoder.conv2.weight_g"),
    ],
)
def test_places_in_the_comfyui_codec(stored: str, name: str) -> None:
    assert naming.comfyui_vae(stored) == name


def test_the_renamed_codec_makes_the_size_of_the_published_comfyui_file() -> None:
    """Names, flat Snake parameters and no metadata give that file's 337,431,732 bytes; nothing else tried does."""
    path = MANIFESTS / "ace-step-1.5-vae.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    shapes = {name: shape for name, (_, shape) in json.loads(path.read_text()).items()}
    assert len(shapes) == 365
    stored_names = dict(zip(checkpoints.vae()[1], checkpoints.comfyui_vae(), strict=True))
    header: dict[str, object] = {}
    end = 0
    for name in sorted(shapes, key=stored_names.__getitem__):
        leaf = name.rsplit(".", 1)[-1]
        shape = [shapes[name][1]] if leaf in ("alpha", "beta") else shapes[name]
        count = 1
        for n in shape:
            count *= n
        start, end = end, end + 2 * count
        header[stored_names[name]] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"))
    assert 8 + len(text) + -len(text) % 8 + end == 337_431_732


@pytest.mark.parametrize(
    "stored", ["text_encoders.qwen3_2b.transformer.model.norm.weight", "vae.decoder.layers.0.bias"]
)
def test_what_belongs_to_another_network_of_an_all_in_one_file_is_passed_over(stored: str) -> None:
    assert naming.comfyui_model(stored) is None
    assert naming.comfyui_text_encoder(stored) is None


def test_the_text_encoder_is_read_with_and_without_the_prefix_of_a_causal_model() -> None:
    assert naming.qwen3("model.layers.3.mlp.up_proj.weight") == naming.qwen3("layers.3.mlp.up_proj.weight")
