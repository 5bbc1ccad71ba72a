import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from partita.errors import RequestError
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.model import AceStepModel
from partita.models.acestepv1.conditioner import Conditioner
from partita.models.acestepv1.config import TransformerConfig
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig
from partita.models.oobleck import OobleckConfig, OobleckVAE
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.models.umt5 import Umt5Config, Umt5Encoder
from partita.song.request import Sampling, SongRequest
from partita.song.resolve import resolve
from partita.weights.catalog import card, catalog, configuration, every_file, shared_files, total_bytes
from partita.weights.loaders import adaptable
from partita.weights.skeleton import skeleton
from partita.weights.tensors import expected_shapes

MANIFESTS = Path(__file__).parents[3] / "shared" / "manifests"
FAMILY = ("turbo", "turbo-shift1", "turbo-shift3", "turbo-continuous", "base", "sft", "xl-turbo", "xl-base", "xl-sft")


def test_holds_the_whole_family_and_the_built_in_model() -> None:
    assert {one.id for one in catalog()} >= {"built-in", *(f"ace-step-1.5-{variant}" for variant in FAMILY)}


def test_every_name_means_one_model() -> None:
    names = [name.casefold() for one in catalog() for name in (one.id, *one.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("variant", FAMILY)
def test_finds_a_model_by_its_upstream_name_in_any_case(variant: str) -> None:
    assert card(f" AceStep-v15-{variant}").id == f"ace-step-1.5-{variant}"


def test_an_unknown_name_is_answered_with_close_ones_and_all_ids() -> None:
    with pytest.raises(RequestError, match=r"Did you mean ace-step-1\.5-turbo") as raised:
        card("ace-step-1.5-tubro")
    assert raised.value.field == "model"
    assert raised.value.value == "ace-step-1.5-tubro"
    assert all(one.id in str(raised.value) for one in catalog())


def test_reading_it_imports_no_torch() -> None:
    modules = "partita.weights.catalog, partita.weights.inventory, partita.weights.download, partita.weights.verify"
    code = f"import sys, {modules}; partita.weights.catalog.catalog(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("variant", "steps", "fixed", "shift", "shifts", "timesteps", "scale", "guided"),
    [
        ("turbo", 8, True, 3, (1, 2, 3), 20, 1, False),
        ("turbo-shift1", 8, True, 1, (1, 2, 3), 20, 1, False),
        ("turbo-shift3", 8, True, 3, (1, 2, 3), 20, 1, False),
        ("turbo-continuous", 8, True, 3, (), 20, 1, False),
        ("base", 50, False, 1, (), 200, 7, True),
        ("sft", 50, False, 1, (), 200, 7, True),
        ("xl-turbo", 8, False, 3, (), 20, 1, False),
        ("xl-base", 50, False, 1, (), 200, 7, True),
        ("xl-sft", 50, False, 1, (), 200, 7, True),
    ],
)
def test_defaults_are_those_the_checkpoint_was_made_for(
    variant: str,
    steps: int,
    fixed: bool,
    shift: float,
    shifts: tuple[float, ...],
    timesteps: int,
    scale: float,
    guided: bool,
) -> None:
    sampling = card(f"ace-step-1.5-{variant}").sampling
    assert (sampling.steps, sampling.fixed_steps, sampling.shift, sampling.shifts) == (steps, fixed, shift, shifts)
    assert (sampling.max_timesteps, sampling.guidance_scale, sampling.guidance_supported) == (timesteps, scale, guided)


@pytest.mark.parametrize("shift", [1.0, 2.4, 5.0])
def test_the_continuous_turbo_takes_any_shift_it_was_made_for(shift: float) -> None:
    request = SongRequest(caption="a", sampling=Sampling(shift=shift))
    assert resolve(request, card("ace-step-1.5-turbo-continuous")).sampling.shift == shift


@pytest.mark.parametrize("shift", [0.9, 5.1])
def test_the_continuous_turbo_refuses_other_shifts(shift: float) -> None:
    request = SongRequest(caption="a", sampling=Sampling(shift=shift))
    with pytest.raises(RequestError, match="takes shifts from 1 to 5") as raised:
        resolve(request, card("ace-step-1.5-turbo-continuous"))
    assert raised.value.field == "sampling.shift"


def test_every_model_needs_its_own_files_and_the_shared_ones() -> None:
    for one in catalog():
        if one.family == "acestep-1.5":
            names = {Path(entry.path).name for entry in one.files}
            assert {"config.json", "silence_latent.pt"} <= names
            assert [shared.folder for shared in shared_files(one)] == ["vae", "Qwen3-Embedding-0.6B"]
            assert len(every_file(one)) == len(one.files) + 6
            assert total_bytes(one) > 6e9


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    path = MANIFESTS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    return {key: tuple(shape) for key, (_, shape) in json.loads(path.read_text()).items()}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("ace-step-1.5-turbo", "ace-step-1.5-2b"),
        ("ace-step-1.5-base", "ace-step-1.5-2b"),
        ("ace-step-1.5-xl", "ace-step-1.5-xl"),
    ],
)
def test_a_network_of_the_listed_sizes_has_the_published_tensors(name: str, sizes: str) -> None:
    with skeleton():
        network = AceStepModel(AceStepConfig.from_json(configuration(sizes)))
    assert expected_shapes(network) == manifest(name)


def test_the_networks_of_v1_of_the_listed_sizes_have_the_published_tensors() -> None:
    with skeleton():
        dcae = Dcae(DcaeConfig.from_json(configuration("ace-step-v1-dcae")))
        vocoder = Vocoder(VocoderConfig.from_json(configuration("ace-step-v1-vocoder")))
        conditioner = Conditioner(TransformerConfig.from_json(configuration("ace-step-v1-transformer")))
    assert expected_shapes(dcae) == manifest("ace-step-v1-dcae")
    assert expected_shapes(vocoder) == manifest("ace-step-v1-vocoder")
    whole = adaptable("acestep-v1", conditioner)
    assert whole.shapes == manifest("ace-step-v1-transformer")
    assert len(whole.idle) == 204


def test_the_vae_of_the_listed_sizes_has_the_published_tensors() -> None:
    with skeleton():
        network = OobleckVAE(OobleckConfig.from_json(configuration("ace-step-1.5-vae")))
    assert expected_shapes(network) == manifest("ace-step-1.5-vae")


def file_bytes(network: torch.nn.Module, dtype: str, item_bytes: int) -> int:
    """Size of a safetensors file of a network, its header padded to eight bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in sorted(expected_shapes(network).items()):
        start, end = end, end + item_bytes * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"))
    return 8 + len(text) + -len(text) % 8 + end


def test_the_text_encoders_of_the_listed_sizes_are_as_large_as_the_published_files() -> None:
    with skeleton():
        qwen = Qwen3(Qwen3Config.from_json(configuration("ace-step-1.5-text-encoder")))
        umt5 = Umt5Encoder(Umt5Config.from_json(configuration("ace-step-v1-text-encoder")))
    assert file_bytes(qwen, "BF16", 2) == 1_191_586_416
    assert file_bytes(umt5, "F32", 4) == 1_127_460_248
