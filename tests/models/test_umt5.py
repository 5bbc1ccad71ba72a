import pytest
import torch
from torch import Tensor

from partita.errors import ModelError
from partita.models.acestepv1.config import Weaken
from partita.models.umt5 import WEAK_TAGS, Umt5Config, Umt5Encoder

SIZES = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 10,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}


@pytest.fixture(scope="module")
def network() -> Umt5Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Umt5Encoder(Umt5Config.from_json(SIZES)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(2, 40, (2, 150), generator=torch.Generator().manual_seed(2))


def mask(*lengths: int, longest: int = 150) -> Tensor:
    return (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()


@pytest.mark.parametrize("weaken", [None, WEAK_TAGS])
def test_states_are_those_of_transformers(network: Umt5Encoder, ids: Tensor, weaken: Weaken | None) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.UMT5Config(**SIZES)
    theirs = transformers.UMT5EncoderModel(config).eval().requires_grad_(False)
    theirs.load_state_dict(network.state_dict() | {"encoder.embed_tokens.weight": network.shared.weight})
    for index in range(8, 10) if weaken else ():
        query = theirs.encoder.block[index].layer[0].SelfAttention.q
        query.register_forward_hook(lambda module, given, out: out * 0.01)
    seen = mask(150, 70)
    want = theirs(input_ids=ids, attention_mask=seen).last_hidden_state
    got = network(ids, seen, weaken=weaken)
    assert (got - want)[seen.bool()].abs().max() < 2e-5


def test_padding_changes_no_state_before_it(network: Umt5Encoder, ids: Tensor) -> None:
    alone = network(ids[:1, :20], mask(20, longest=20))
    padded = network(ids[:1, :50], mask(20, longest=50))
    assert torch.allclose(padded[:, :20], alone, atol=1e-5)


def test_every_token_sees_those_before_and_behind_it(network: Umt5Encoder, ids: Tensor) -> None:
    states = network(ids[:1, :9], mask(9, longest=9))
    for place in (0, 8):
        other = ids[:1, :9].clone()
        other[0, place] = (other[0, place] + 7) % 40
        assert ((network(other, mask(9, longest=9)) - states).abs().amax(-1) > 1e-4).all()


def test_weakened_queries_change_the_states(network: Umt5Encoder, ids: Tensor) -> None:
    plain = network(ids, mask(150, 150))
    assert torch.equal(network(ids, mask(150, 150), weaken=Weaken(0.01, 20, 30)), plain)
    assert (network(ids, mask(150, 150), weaken=WEAK_TAGS) - plain).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"d_kv": None}, "d_kv"),
        ({"num_layers": 1.5}, "num_layers"),
        ({"feed_forward_proj": "relu"}, "feed_forward_proj"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(changed: dict[str, object], key: str) -> None:
    with pytest.raises(ModelError, match=key) as raised:
        Umt5Config.from_json({**SIZES, **changed})
    assert raised.value.key == key
