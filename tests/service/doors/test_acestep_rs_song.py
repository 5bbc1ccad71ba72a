from pathlib import Path

import pytest

from partita.audio.tags import read_record
from partita.engine.engine import Engine
from partita.errors import ModelError, PlannerError, RequestError, SaveError
from partita.service.doors.acestep_rs import player as player_module
from partita.service.doors.acestep_rs.player import Player
from partita.service.doors.acestep_rs.protocol import Asked, FileFormat
from partita.service.doors.acestep_rs.song import choose, read_metas, request_of
from partita.service.doors.choice import Choice, Fitted
from partita.service.manager import Manager
from partita.settings import Settings
from partita.song.record import Record
from partita.weights.catalog import card as find_card
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime

BUILT_IN, TURBO = Choice(find_card("built-in")), Choice(find_card("ace-step-1.5-turbo"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def engine(settings: Settings) -> Engine:
    loader = FakeLoader()
    return Engine(runtime=fake_runtime(), settings=settings, renderer=ToneRenderer(), loader=lambda card: loader)


@pytest.fixture
def asked_of(engine: Engine, settings: Settings):
    def ask(
        choice: Choice = BUILT_IN, file_format: FileFormat = "ogg", *, use_lm: bool = False, **fields: object
    ) -> Fitted:
        asked = Asked(**{"caption": "lofi", **fields})  # pyright: ignore[reportArgumentType]
        return request_of(asked, file_format, choice, settings, use_lm=use_lm, resolve=engine.resolve)

    return ask


def test_without_a_turbo_on_this_machine_the_built_in_model_plays_and_it_is_said(settings: Settings):
    choice = choose(settings)
    assert choice.model_id == "built-in"
    assert "acestep-v15-turbo was asked for and is not applied" in choice.notes[0]
    assert choose(settings, "built-in").notes == ()


def test_the_plain_fields_are_passed_on(asked_of):
    fitted = asked_of(TURBO, caption="slow ballad", lyrics="[verse]\nhello", language="de", duration_s=45.5, seed=7)
    request = fitted.request
    assert (request.caption, request.lyrics, request.language) == ("slow ballad", "[verse]\nhello", "de")
    assert (request.model, request.duration_s, request.seed) == ("ace-step-1.5-turbo", 45.5, 7)
    assert fitted.notes == ()


@pytest.mark.parametrize(("lyrics", "instrumental"), [("", False), ("[inst]", True), ("[Instrumental]", True)])
def test_lyrics_that_are_none(asked_of, lyrics: str, instrumental: bool):
    request = asked_of(lyrics=lyrics).request
    assert (request.lyrics, request.instrumental) == ("", instrumental)


@pytest.mark.parametrize(
    ("file_format", "output"),
    [
        ("wav", {"format": "wav", "bit_depth": 32, "bitrate_kbps": None}),
        ("ogg", {"format": "ogg", "bit_depth": None, "bitrate_kbps": None}),
        ("mp3", {"format": "mp3", "bit_depth": None, "bitrate_kbps": 192}),
    ],
)
def test_the_formats(asked_of, file_format: FileFormat, output: dict[str, object]):
    made = asked_of(file_format=file_format).request.output
    assert {name: getattr(made, name) for name in output} == output


@pytest.mark.parametrize(("shift", "table"), [(1.0, 1), (2.9, 2), (3.0, 3), (0.5, 3), (4.0, 3), (-1.0, 3)])
def test_a_shift_is_cut_to_a_table_of_the_turbo_models(asked_of, shift: float, table: int):
    assert asked_of(TURBO, shift=shift).request.sampling.shift == table


def test_a_shift_of_another_model_is_noted_unless_it_is_the_usual_one(asked_of):
    assert asked_of(shift=3.0).notes == ()
    fitted = asked_of(shift=2.0)
    assert fitted.request.sampling.shift is None
    assert "shift 2 was asked for and is not applied" in fitted.notes[0]


def test_seeds_are_passed_on_and_long_ones_folded(asked_of):
    assert asked_of(seed=2**32 - 1).request.seed == 2**32 - 1
    fitted = asked_of(seed=(5 << 32) | 3)
    assert fitted.request.seed == 6
    assert "folded into 6" in fitted.notes[0]


def test_a_language_that_no_model_knows_is_left_out_and_noted(asked_of):
    fitted = asked_of(language="tlh")
    assert fitted.request.language is None
    assert "language 'tlh' was asked for and is not applied" in fitted.notes[0]


@pytest.mark.parametrize(
    ("metas", "fields", "words"),
    [
        ("", {}, ()),
        ("bpm: 120, key: C major", {"bpm": 120, "key": "C major"}, ()),
        ("BPM: 92; Key Scale: F#m; time signature: 3/4", {"bpm": 92, "key": "F# minor", "time_signature": "3/4"}, ()),
        (
            "- bpm: 80\n- timesignature: 6\n- keyscale: Bb minor\n- duration: 30 seconds",
            {"bpm": 80, "time_signature": "6/8", "key": "Bb minor"},
            (),
        ),
        ("- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: N/A", {}, ()),
        ("120 bpm, A minor, 4/4", {"bpm": 120, "key": "A minor", "time_signature": "4/4"}, ()),
        ("genre: jazz, mood: blue, bpm: 70", {"bpm": 70}, ("genre: jazz", "mood: blue")),
        ("bpm: fast", {}, ("bpm: fast",)),
        ("with a drop at 120 bpm in the middle", {}, ("with a drop at 120 bpm in the middle",)),
    ],
)
def test_what_metas_say(metas: str, fields: dict[str, object], words: tuple[str, ...]):
    read = read_metas(metas)
    assert (read.fields, read.words) == (fields, words)


def test_metas_become_fields_and_words(asked_of):
    fitted = asked_of(caption="piano.", metas="bpm: 90, key: Am, mood: blue", duration_s=20)
    request = fitted.request
    assert (request.caption, request.bpm, request.key) == ("piano, mood: blue", 90, "A minor")
    assert fitted.notes == ()


def test_a_length_in_metas_does_nothing_beside_the_length_and_is_noted_where_it_differs(asked_of):
    assert asked_of(metas="duration: 30 seconds").notes == ()
    fitted = asked_of(metas="duration: 45 seconds")
    assert fitted.request.duration_s == 30
    assert "duration 45 was asked for and is not applied: duration_s says 30" in fitted.notes[0]


def test_a_tempo_that_the_model_does_not_play_becomes_the_nearest(asked_of):
    fitted = asked_of(metas="bpm: 240")
    assert fitted.request.bpm == 180
    assert "metas: bpm 240 was asked for and is not applied" in fitted.notes[0]


@pytest.mark.parametrize(
    ("caption", "field", "value"),
    [("drum and bass at 190 bpm", "bpm", 180), ("a tune in 5/4", "time_signature", "4/4")],
)
def test_a_caption_that_asks_for_what_the_built_in_model_does_not_play_is_a_song_all_the_same(
    asked_of, engine: Engine, caption: str, field: str, value: object
):
    fitted = asked_of(caption=caption)
    assert getattr(fitted.request, field) == value
    assert "not applied" in fitted.notes[0]
    assert getattr(engine.plan(fitted.request)[0], field) == value


def test_no_length_is_thirty_seconds_without_a_planner(asked_of):
    assert asked_of(duration_s=None).request.duration_s == 30


def test_an_empty_caption_has_words_in_its_place(asked_of):
    fitted = asked_of(caption=" ")
    assert fitted.request.caption
    assert "stands in its place" in fitted.notes[0]
    assert asked_of(caption="", lyrics="la la").request.caption == ""


def test_a_planner_that_is_not_here_is_noted(asked_of):
    fitted = asked_of(TURBO, use_lm=True, metas="bpm: 90")
    assert fitted.request.planner.mode == "off"
    assert fitted.request.bpm == 90
    assert "--use-lm was asked for and is not applied" in fitted.notes[0]


def test_with_a_planner_it_fills_in_what_is_open(asked_of, monkeypatch: pytest.MonkeyPatch):
    from partita.service.doors import spoken
    from partita.weights.catalog import planner

    monkeypatch.setattr(spoken, "planner_here", lambda settings, name=None: planner("ace-step-1.5-planner-1.7b"))
    fitted = asked_of(TURBO, use_lm=True, metas="bpm: 90", duration_s=None)
    request = fitted.request
    assert (request.planner.mode, request.planner.temperature) == ("metadata", 0)
    assert (request.duration_s, request.bpm, request.language) == (None, None, None)
    assert "metas was asked for and is not applied" in fitted.notes[0]
    assert asked_of(TURBO, use_lm=True, duration_s=20).request.duration_s == 20
    short = asked_of(TURBO, use_lm=True, duration_s=5)
    assert short.request.planner.mode == "off"
    assert short.request.duration_s == 5


def test_words_that_are_too_long_are_refused(asked_of):
    with pytest.raises(RequestError):
        asked_of(caption="a" * 20_000)


# The player.


@pytest.fixture
def player(engine: Engine, settings: Settings) -> Player:
    return Player(Manager(lambda device: engine), settings, model="built-in")


def test_a_song_carries_its_record_with_the_notes(player: Player, tmp_path: Path):
    song = player.play(Asked("lofi", duration_s=1, seed=1, shift=2), "wav")
    player.write(song, tmp_path / "plain name", "wav")
    text = read_record(tmp_path / "plain name")
    assert text is not None
    assert any("shift 2 was asked for" in note for note in Record.from_json(text).warnings)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["plain name"]


def test_where_the_planner_fails_the_song_is_made_without_it(engine, settings, monkeypatch: pytest.MonkeyPatch):
    player = Player(Manager(lambda device: engine), settings, model="built-in", use_lm=True)
    real = player_module.request_of

    def failing(*args: object, use_lm: bool, **rest: object):
        if use_lm:
            raise PlannerError("it goes in circles", text="")
        return real(*args, use_lm=use_lm, **rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(player_module, "request_of", failing)
    song = player.play(Asked("lofi", duration_s=1), "ogg")
    assert song.warnings[-1] == ("--use-lm was asked for and is not applied: the planner failed (it goes in circles).")


def test_a_model_that_cannot_be_read_is_told_once_tried_without_the_planner(engine, settings, monkeypatch):
    player = Player(Manager(lambda device: engine), settings, use_lm=True)

    def failing(*args: object, **rest: object):
        raise ModelError("damaged")

    monkeypatch.setattr(player_module, "request_of", failing)
    with pytest.raises(ModelError, match="damaged"):
        player.play(Asked("lofi"), "ogg")


def test_what_cannot_be_written_is_kept(player: Player, settings: Settings, tmp_path: Path):
    song = player.play(Asked("lofi", duration_s=1, seed=1), "wav")
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(SaveError, match=r"audio: .*The song is kept in .*folder-1\.flac") as caught:
        player.write(song, tmp_path / "folder.wav", "wav")
    assert caught.value.kept_at is not None
    assert caught.value.kept_at.parent == settings.kept
    assert caught.value.kept_at.stat().st_size > 10_000


def test_names_of_the_spool_are_times_that_nobody_else_has(player: Player, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(player_module, "spool_folder", lambda: tmp_path / "spool")
    places = [player.place(None) for _ in range(5)]
    assert len({path for _, path in places}) == 5
    assert all(told == str(path) and path.parent == tmp_path / "spool" for told, path in places)
    assert all(path.stem.isdecimal() and path.suffix == ".ogg" for _, path in places)


def test_a_spool_that_cannot_be_made_is_the_temporary_folder(player: Player, tmp_path: Path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(player_module, "spool_folder", lambda: tmp_path / "file" / "spool")
    assert player.place(None)[1].name.startswith("ace-step-")


def test_folders_are_made_for_a_name(player: Player, tmp_path: Path):
    told, path = player.place(str(tmp_path / "a" / "b" / "c.ogg"))
    assert told == str(path)
    assert path.parent.is_dir()


def test_a_folder_that_cannot_be_made(player: Player, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"^could not create output directory: .* \(os error \d+\)$"):
        player.place(str(tmp_path / "file" / "b" / "c.ogg"))
    with pytest.raises(RequestError, match=r"^could not create output directory: "):
        player.place("a\0/b.ogg")


@pytest.mark.parametrize("output", ["../x.ogg", "/etc/x.ogg", "inner/../../x.ogg", "link/x.ogg", "."])
def test_with_a_folder_of_its_own_nothing_outside_is_written(engine, settings, tmp_path: Path, output: str):
    folder = tmp_path / "songs"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    player = Player(Manager(lambda device: engine), settings, folder=folder)
    with pytest.raises(RequestError, match=r"is not in .*songs"):
        player.place(output)
    assert player.place("inner/x.ogg") == ("inner/x.ogg", folder / "inner" / "x.ogg")
    assert player.place(None)[1].parent == folder
