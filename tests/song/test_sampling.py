import pytest
from pydantic import ValidationError

from partita.errors import RequestError
from partita.song.card import V1Sampling
from partita.song.request import Sampling, SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.sampling import V1_FIELDS
from partita.song.source import GRIDS, SourceFacts
from partita.song.task import Extend, FlowEdit, Repaint, Retake
from partita.weights.catalog import card, catalog

SOURCE = SourceFacts(sha256="0" * 64, samples=48_000 * 30)
LYRICS_EDIT = FlowEdit(source="a.wav", source_caption="rock")


def resolved(model="ace-step-v1", samples=SOURCE.samples, **fields):
    request = SongRequest(**{"caption": "x", **fields})
    taken = TakenIn(source=SOURCE.model_copy(update={"samples": samples}) if hasattr(request.task, "source") else None)
    return resolve(request, card(model), taken, cards=catalog(), fresh_seed=lambda: 1)


def test_the_knobs_of_v1_come_from_its_card_and_the_request():
    assert resolved().sampling.v1 == V1Sampling(erg=("diffusion",))
    asked = {
        "omega": -8.0,
        "guidance_share": 1.0,
        "guidance_decay": 0.5,
        "guidance_floor": 2.0,
        "erg": ("tags", "lyrics"),
    }
    assert resolved(sampling=Sampling(**asked)).sampling.v1 == V1Sampling(**asked)
    assert (resolved().sampling.steps, resolved().sampling.guidance_scale, resolved().warnings) == (60, 15, ())


def test_the_request_has_every_knob_and_says_in_its_help_whose_it_is():
    for name in V1_FIELDS:
        assert (Sampling.model_fields[name].description or "").startswith("v1: ")


@pytest.mark.parametrize("model", [one.id for one in catalog() if one.family != "acestep-v1"])
@pytest.mark.parametrize("name", V1_FIELDS)
def test_other_models_refuse_the_knobs_of_v1(model, name):
    values = {"erg": ("tags",), "oss_steps": (1, 2)}
    with pytest.raises(RequestError, match=f"{name} is ACE-Step v1's") as caught:
        resolved(model, sampling=Sampling(**{name: values.get(name, 1.0)}))
    assert caught.value.field == f"sampling.{name}"


def test_other_models_have_none_of_them():
    assert resolved("ace-step-1.5-turbo").sampling.v1 is None


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"guidance_interval": (0.2, 0.8)}, "guidance_interval", "use guidance_share"),
        ({"guidance_text": 5.0}, "guidance_text", "give both, or none"),
        ({"guidance_lyrics": 1.5, "guidance_text": 0.5}, "guidance_text", "give both, or none"),
        ({"guidance_decay": 0.5, "guidance_scale": 2.0}, "guidance_floor", "under the scale"),
        ({"oss_steps": (4, 8), "steps": 2}, "oss_steps", "replaces steps"),
        ({"oss_steps": (4, 8), "solver": "heun"}, "oss_steps", "use euler or sde"),
        ({"guidance_scale": 1.0, "guidance_share": 0.7}, "guidance_share", "no guidance"),
        ({"guidance_scale": 1.0, "guidance_text": 5.0, "guidance_lyrics": 2.0}, "guidance_text", "no guidance"),
        ({"guidance_scale": 1.0, "erg": ("tags",)}, "erg", "no guidance"),
        ({"guidance": "cfg", "guidance_text": 5.0, "guidance_lyrics": 2.0}, "guidance", "take its place"),
        ({"guidance_scale": 9.0, "guidance_text": 5.0, "guidance_lyrics": 2.0}, "guidance_scale", "take its place"),
        ({"guidance_decay": 1.0, "guidance_text": 5.0, "guidance_lyrics": 2.0}, "guidance_decay", "take its place"),
        ({"guidance_floor": 5.0}, "guidance_floor", "guidance_decay, which is 0"),
        ({"timesteps": (0.0, 0.0)}, "timesteps", "begin at 1"),
        ({"solver": "dpmpp-2m"}, "solver", "solvers euler, heun, sde, not dpmpp-2m"),
        ({"guidance": "adg"}, "guidance", "guidances apg, cfg, cfg-star, not adg"),
    ],
)
def test_v1_refuses_what_it_does_not_have(fields, field, says):
    with pytest.raises(RequestError, match=says) as caught:
        resolved(sampling=Sampling(**fields))
    assert caught.value.field == f"sampling.{field}"


@pytest.mark.parametrize("fields", [{"guidance_scale": 1.0, "erg": ("tags",)}, {"guidance_floor": 5.0}])
def test_what_does_nothing_beside_the_rest_is_ignored_in_parity_as_the_original_does(fields):
    assert resolved(sampling=Sampling(**fields), parity=True).sampling.v1 is not None


@pytest.mark.parametrize("steps", [(), (0, 1), (3, 3), (5, 2), (1, 1001)])
def test_step_lists_rise(steps):
    with pytest.raises((RequestError, ValidationError), match="oss_steps"):
        Sampling(oss_steps=steps)


def test_a_step_list_is_as_many_steps():
    assert resolved(sampling=Sampling(oss_steps=(16, 29, 52, 96))).sampling.steps == 4


def test_ping_pong_is_the_stochastic_solver():
    assert resolved(sampling=Sampling(solver="pingpong")).sampling.solver == "sde"


@pytest.mark.parametrize("task", [Repaint(source="a.wav", start_s=2), Extend(source="a.wav", right_s=5)])
@pytest.mark.parametrize("asked", [{"solver": "heun"}, {"omega": 5.0}])
def test_what_a_region_leaves_out_is_refused_but_in_parity(task, asked):
    with pytest.raises(RequestError, match="leave it out"):
        resolved(task=task, sampling=Sampling(**asked))
    assert resolved(task=task, sampling=Sampling(**asked), parity=True).sampling.v1 is not None


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"guidance": "cfg"}, "not cfg"), ({"erg": ("tags",)}, "does nothing in edit"), ({"solver": "heun"}, "heun")],
)
def test_what_an_edit_leaves_out_is_refused(asked, says):
    with pytest.raises(RequestError, match=says):
        resolved(task=LYRICS_EDIT, sampling=Sampling(**asked))


def test_an_edit_takes_ping_pong():
    assert resolved(task=LYRICS_EDIT, sampling=Sampling(solver="sde")).sampling.solver == "sde"


@pytest.mark.parametrize(("name", "value"), [("follow", "codes"), ("follow", "latents")])
def test_v1_follows_no_latents(name, value):
    with pytest.raises(RequestError, match="no latents to follow"):
        resolved(task=LYRICS_EDIT.model_copy(update={name: value}))


def test_what_is_made_anew_as_a_whole_fits_the_model_and_a_region_may_lie_in_more():
    with pytest.raises(RequestError, match="at most 240 s at once"):
        resolved(task=LYRICS_EDIT, samples=48_000 * 300)
    assert resolved(task=Repaint(source="a.wav", start_s=250, end_s=260), samples=48_000 * 300).canvas is not None
    assert resolved(task=Extend(source="a.wav", right_s=200), samples=48_000 * 300).duration_s == 500


def test_what_is_added_before_a_source_is_whole_frames_of_the_model():
    grid = GRIDS["acestep-v1"]
    found = resolved(task=Extend(source="a.wav", left_s=10))
    assert found.canvas is not None
    frames = grid.within(found.canvas.source_at)
    assert found.canvas.source_at == grid.samples(frames)
    assert abs(found.canvas.source_at / 48_000 - 10) <= grid.frame_s / 2
    assert any("whole frames of 92.9 ms" in warning for warning in found.warnings)


def test_a_region_under_a_frame_is_refused():
    with pytest.raises(RequestError, match=r"a latent frame is 92\.9 ms"):
        resolved(task=Repaint(source="a.wav", start_s=2, end_s=2.05))


def test_a_retake_is_v1s_too():
    assert resolved(task=Retake(of_seed=3)).task.variance == 0.2
