import pytest

from partita.errors import RequestError
from partita.song.adapters import AdapterFacts
from partita.song.plan import Plan
from partita.song.request import Output, Sampling, SongRequest
from partita.song.resolve import ResolvedAdapter, TakenIn, resolve
from partita.song.source import SongOrigin, SourceFacts
from partita.song.task import TASKS, Cover, FlowEdit, Repaint, TextToMusic
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


HASH = "ab" * 32
TEN_SECONDS = SourceFacts(sha256=HASH, samples=480_000)
PLAN = Plan(caption="warm jazz", lyrics="la la", language="fr", duration_s=10)
OWN_SONG = TEN_SECONDS.model_copy(
    update={"song": SongOrigin(model="ace-step-1.5-turbo", family="acestep-1.5", plan=PLAN, gain_db=2.0)}
)


def edited(task, model="ace-step-1.5-turbo", source=TEN_SECONDS, **fields):
    request = SongRequest(task=task, **{"caption": "x", **fields})
    return resolve(request, card(model), TakenIn(source=source), cards=catalog(), fresh_seed=lambda: 99)


def test_a_resolved_edit_names_its_source_by_content_alone():
    song = edited(Repaint(source="secret/song.wav", start_s=1, end_s=2))
    assert "secret" not in song.model_dump_json()
    assert song.task.source.sha256 == HASH
    assert song.duration_s == 10
    assert song.canvas.spans == ((48_000, 96_000),)


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.model_fields["kind"].default)
@pytest.mark.parametrize("model", [one.id for one in catalog()])
def test_a_task_that_a_model_cannot_do_is_refused_with_the_models_that_can(kind, model):
    needed = {"source": "a.wav", "track": "drums", "start_s": 0, "end_s": 1, "of_seed": 1, "source_caption": "y"}
    needed["right_s"] = 1
    task = kind(**{name: value for name, value in needed.items() if name in kind.model_fields})
    origin = OWN_SONG.song.model_copy(update={"model": model, "family": card(model).family})
    own = OWN_SONG.model_copy(update={"song": origin})
    if task.kind in card(model).tasks:
        assert edited(task, model, own if hasattr(task, "source") else None).task.kind == task.kind
        return
    with pytest.raises(RequestError, match=f"{model} cannot do {task.kind}") as caught:
        edited(task, model, own)
    able = [one.id for one in catalog() if task.kind in one.tasks]
    assert "ace-step-1.5-base" in able
    assert str(caught.value).endswith(f"These can: {', '.join(able)}.")


def test_the_built_in_model_edits_only_its_own_songs():
    with pytest.raises(RequestError, match=r"edits only songs that it made.*These can: ace-step-1.5-turbo,"):
        edited(Repaint(source="a.wav", start_s=1), "built-in")
    with pytest.raises(RequestError, match="edits only songs that it made"):
        edited(Repaint(source="a.wav", start_s=1), "built-in", OWN_SONG)


def test_the_built_in_model_is_told_of_regions_in_one_way_only():
    own = OWN_SONG.model_copy(update={"song": OWN_SONG.song.model_copy(update={"family": "built-in"})})
    with pytest.raises(RequestError, match="no mask of what to make") as caught:
        edited(Repaint(source="a.wav", start_s=1, chunk_mask="two"), "built-in", own)
    assert caught.value.field == "task.chunk_mask"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"references": ("a.wav",)}, "references"),
        ({"adapters": ("voice",)}, "adapters"),
        ({"task": TextToMusic(codes=(1, 2))}, "task.codes"),
        ({"task": TextToMusic(strength=0.5)}, "task.strength"),
    ],
)
def test_what_a_model_cannot_hear_is_refused_with_the_models_that_can(fields, field):
    with pytest.raises(RequestError, match=r"These can: ace-step-1.5-turbo,") as caught:
        resolve(SongRequest(caption="x", **fields), card("built-in"), cards=catalog())
    assert caught.value.field == field


@pytest.mark.parametrize("seconds", [0.05, 601])
def test_sources_that_are_too_short_or_long_are_refused(seconds):
    facts = SourceFacts(sha256=HASH, samples=round(seconds * 48_000))
    with pytest.raises(RequestError, match=r"0.1 to 600 s"):
        edited(Cover(source="a.wav"), source=facts)


def test_the_length_of_an_edit_is_its_sources():
    with pytest.raises(RequestError, match="length of cover is that of its source"):
        edited(Cover(source="a.wav"), duration_s=20)


def test_codes_set_the_length():
    asked = {"caption": "x", "task": TextToMusic(codes=tuple(range(50)))}
    assert resolve(SongRequest(**asked), card("ace-step-1.5-turbo")).duration_s == 10
    with pytest.raises(RequestError, match="the codes make 10 s"):
        resolve(SongRequest(**asked, duration_s=20), card("ace-step-1.5-turbo"))


def test_words_that_are_left_open_are_the_source_songs():
    song = edited(Repaint(source="a.flac", start_s=1), source=OWN_SONG, caption="")
    assert (song.caption, song.lyrics, song.language, song.instrumental) == ("warm jazz", "la la", "fr", False)
    quiet = edited(Repaint(source="a.flac", start_s=1), source=OWN_SONG, caption="", instrumental=True)
    assert quiet.instrumental
    assert quiet.lyrics == "[Instrumental]"


def test_edits_keep_their_level_and_other_songs_do_not():
    assert edited(Repaint(source="a.wav", start_s=1)).output.normalise == "off"
    assert edited(Cover(source="a.wav")).output.normalise == "loudness"
    loud = edited(Repaint(source="a.wav", start_s=1), output=Output(normalise="loudness"))
    assert any("outside the region change" in warning for warning in loud.warnings)


def test_a_loudness_target_asks_for_the_loudness_stage():
    loud = edited(Repaint(source="a.wav", start_s=1), output=Output(loudness_lufs=-12))
    assert (loud.output.normalise, loud.output.loudness_lufs) == ("loudness", -12)


def test_flow_editing_has_steps_guidance_and_recipes_of_its_own():
    song = edited(FlowEdit(source="a.wav", source_caption="rock", recipe="style"), "ace-step-1.5-base")
    assert (song.sampling.steps, song.sampling.guidance_scale) == (60, 15)
    assert (song.task.n_min, song.task.n_max) == (0.2, 0.4)
    assert song.warnings == ()
    assert edited(FlowEdit(source="a.wav", source_caption="rock")).sampling.steps == 8


def test_flow_editing_takes_the_sources_words_from_its_record():
    song = edited(FlowEdit(source="a.flac"), source=OWN_SONG, caption="", lyrics="other words")
    assert (song.task.source_caption, song.task.source_lyrics) == ("warm jazz", "la la")
    assert (song.caption, song.lyrics) == ("warm jazz", "other words")


@pytest.mark.parametrize(
    ("task", "fields", "says"),
    [
        (FlowEdit(source="a.wav"), {}, "give source_caption"),
        (FlowEdit(source="a.wav", source_caption="x"), {}, "words that the source already has"),
        (FlowEdit(source="a.wav", source_caption="y", n_min=0.5, n_max=0.5), {}, "n_max must be greater"),
        (FlowEdit(source="a.wav", source_caption="y"), {"sampling": Sampling(solver="heun")}, "the solver euler alone"),
        (
            FlowEdit(source="a.wav", source_caption="y"),
            {"sampling": Sampling(guidance="adg"), "model": "ace-step-1.5-base"},
            "guidances apg, cfg, not adg",
        ),
    ],
)
def test_flow_edits_that_make_no_sense_are_refused(task, fields, says):
    with pytest.raises(RequestError, match=says):
        edited(task, **fields)


def test_adapters_are_known_by_their_content():
    facts = AdapterFacts(
        name="voice", sha256=HASH, kind="lora", layout="peft", rank=8, alpha=16.0, base_model=None, targets=4, bytes=1
    )
    request = SongRequest(caption="x", adapters=("secret/voice:0.5",))
    song = resolve(request, card("ace-step-1.5-turbo"), TakenIn(adapters=(facts,)))
    assert song.adapters == (ResolvedAdapter(facts=facts, strength=0.5),)
    assert "secret" not in song.model_dump_json()
