import pytest

from partita.errors import RequestError
from partita.song.request import Output, Sampling, SongRequest
from partita.song.resolve import resolve
from partita.weights.catalog import card, catalog


def resolved(model="ace-step-1.5-turbo", **fields):
    return resolve(SongRequest(**{"caption": "x", **fields}), card(model), fresh_seed=lambda: 99)


@pytest.mark.parametrize("model", [one.id for one in catalog()])
def test_defaults_are_the_cards(model):
    sampling, wanted = resolved(model).sampling, card(model).sampling
    assert (sampling.steps, sampling.shift, sampling.guidance_scale) == (
        wanted.steps,
        wanted.shift,
        wanted.guidance_scale,
    )
    assert resolved(model).warnings == ()


def test_count_becomes_seeds_that_wrap_around():
    assert resolved(seed=2**32 - 2, count=3).seeds == (2**32 - 2, 2**32 - 1, 0)
    assert resolved(count=2).seeds == (99, 100)


@pytest.mark.parametrize("duration", [600.1, 0.5])
def test_durations_beyond_the_models_limits_are_refused_with_the_limits(duration):
    with pytest.raises(RequestError, match="1 to 600 seconds") as caught:
        resolved(duration_s=duration)
    assert caught.value.field == "duration_s"


def test_the_longest_song_is_accepted():
    assert resolved(duration_s=600).duration_s == 600


def test_a_model_without_guidance_refuses_it():
    with pytest.raises(RequestError, match="runs without guidance") as caught:
        resolved(sampling=Sampling(guidance_scale=5))
    assert caught.value.field == "sampling.guidance_scale"


def test_fixed_steps_are_not_changed_in_silence():
    with pytest.raises(RequestError, match="8 steps only"):
        resolved(sampling=Sampling(steps=20))


def test_an_odd_shift_is_refused_by_a_tabled_sampler_and_rounded_in_parity():
    with pytest.raises(RequestError, match="1, 2, 3"):
        resolved(sampling=Sampling(shift=2.4))
    rounded = resolved(sampling=Sampling(shift=2.4), parity=True)
    assert rounded.sampling.shift == 2
    assert "rounded to 2" in " ".join(rounded.warnings)


def test_a_value_off_the_preset_is_a_warning():
    assert "tuned for" in resolved("ace-step-1.5-sft", sampling=Sampling(steps=20)).warnings[0]


def test_timesteps_replace_steps_and_shift():
    with pytest.raises(RequestError, match="leave those out"):
        resolved(sampling=Sampling(timesteps=(1.0, 0.5), shift=2))
    with pytest.raises(RequestError, match="at most 20"):
        resolved(sampling=Sampling(timesteps=tuple(1 - i / 30 for i in range(30))))
    with pytest.raises(RequestError, match="no timesteps"):
        resolved("ace-step-1.5-base", sampling=Sampling(timesteps=(1.0, 0.0)))


def test_a_score_is_asked_only_of_models_that_write_one():
    assert resolved("built-in", output=Output(midi=True)).output.midi
    with pytest.raises(RequestError, match="without a score") as caught:
        resolved(output=Output(stems=True))
    assert caught.value.field == "output.stems"


def test_lyrics_for_a_model_that_does_not_sing_are_noted():
    assert "does not sing" in resolved("built-in", lyrics="[Verse]\nla").warnings[0]


def test_no_lyrics_means_instrumental():
    assert resolved().lyrics == "[Instrumental]"
    assert resolved().instrumental


def test_lossless_and_lossy_outputs_get_what_belongs_to_them():
    assert resolved().output.bit_depth == 24
    assert resolved().output.bitrate_kbps is None
    lossy = resolved(output=Output(format="mp3")).output
    assert (lossy.bit_depth, lossy.bitrate_kbps) == (None, 256)


def test_parity_normalises_the_peak_as_the_original_does():
    assert resolved(parity=True).output.normalise == "peak"
    assert resolved().output.normalise == "loudness"
    assert resolved().output.loudness_lufs == card("ace-step-1.5-turbo").loudness.target_lufs
