"""What v1 is told in words: tags with what is settled of tempo, key and metre, lyrics, and their language."""

from __future__ import annotations

import pytest
import torch

from partita.models.umt5 import WEAK_TAGS
from partita.render.acestepv1.words import LYRICS_MAX_IDS, Wording, read_lyrics, read_tags, with_details, wordings_of
from partita.song.plan import Plan
from partita.song.source import SongOrigin, SourceFacts
from tests.render.acestepv1.tiny import MODEL, job_of, lyric_tokenizer, notes_of, own_song, sample_job


def plan(**fields) -> Plan:
    return Plan(**{"caption": "x", "lyrics": "", "language": "en", "duration_s": 10, **fields})


@pytest.mark.parametrize(
    ("caption", "fields", "tags"),
    [
        ("disco, funk", {}, "disco, funk"),
        ("disco, funk", {"bpm": 120}, "disco, funk, 120 bpm"),
        ("disco, 120 BPM", {"bpm": 120}, "disco, 120 BPM"),
        ("disco, 120bpm.", {"bpm": 120, "key": "C minor"}, "disco, 120bpm, C minor"),
        ("disco, 1120 bpm", {"bpm": 120}, "disco, 1120 bpm, 120 bpm"),
        ("in c minor", {"key": "C minor"}, "in c minor"),
        ("in F# minor", {"key": "F# minor"}, "in F# minor"),
        ("a waltz", {"time_signature": "3/4"}, "a waltz, 3/4 time"),
        ("a waltz in 3/4", {"time_signature": "3/4"}, "a waltz in 3/4"),
        ("", {"bpm": 90, "key": "D major", "time_signature": "6/8"}, "90 bpm, D major, 6/8 time"),
    ],
)
def test_what_the_plan_settles_is_a_tag_unless_the_caption_says_it(caption, fields, tags):
    assert with_details(caption, plan(**fields)) == tags


def test_the_original_reads_the_caption_alone():
    job = job_of(bpm=120, key="C minor", caption="disco", parity=True)
    assert wordings_of(job)["main"].tags == "disco"
    assert wordings_of(job_of(bpm=120, key="C minor", caption="disco"))["main"].tags == "disco, 120 bpm, C minor"


def test_a_song_without_a_voice_is_tagged_so():
    assert wordings_of(job_of())["main"].lyrics == "[inst]"
    assert wordings_of(job_of(instrumental=True))["main"].lyrics == "[inst]"
    assert wordings_of(job_of(parity=True))["main"].lyrics == ""


@pytest.mark.parametrize(("asked", "known"), [(None, None), ("es", "es"), ("unknown", None), ("sv", None)])
def test_a_language_that_is_named_is_that_of_every_line(asked, known):
    assert wordings_of(job_of(lyrics="la noche", language=asked))["main"].language == known


def test_a_language_that_v1_does_not_sing_in_is_told(parts):
    events = sample_job(parts, job_of(lyrics="la la la", language="sv"))
    assert any("language sv" in note for note in notes_of(events))


def test_an_edit_reads_what_the_source_was(parts):
    task = {"kind": "edit", "source_caption": "solo piano", "source_lyrics": "one two"}
    job = job_of(source=own_song(20), task=task, caption="jazz trio", bpm=100, lyrics="three four")
    sets = wordings_of(job)
    assert sets["main"] == Wording("jazz trio, 100 bpm", "three four", None)
    assert sets["source"] == Wording("solo piano", "one two", None)


def test_an_edit_of_a_song_of_ours_knows_its_tempo_and_that_it_has_no_voice():
    source = own_song(20)
    origin = SongOrigin(model=MODEL, family="acestep-v1", plan=plan(caption="solo piano", bpm=80), gain_db=0.0)
    facts = SourceFacts(sha256=source.facts.sha256, samples=source.facts.samples, song=origin)
    job = job_of(source=type(source)(facts, source.audio, source.latents), task={"kind": "edit"}, caption="harp")
    assert wordings_of(job)["source"] == Wording("solo piano, 80 bpm", "[inst]", "en")
    assert wordings_of(job)["main"] == Wording("harp, 80 bpm", "[inst]", "en")


def test_tags_beyond_what_the_model_reads_are_told(parts):
    assert not notes_of(sample_job(parts, job_of(caption="x" * 255)))
    (note,) = notes_of(sample_job(parts, job_of(caption="x" * 256)))
    assert note == "The caption makes 257 tokens; the model reads the first 256."


def test_notes_on_lyrics_are_told_once(parts):
    events = sample_job(parts, job_of(lyrics="[Verse 1]\nla la la\n[Zzz]\nla la"))
    assert sum("[Zzz]" in note for note in notes_of(events)) == 1


def test_tags_are_read_with_their_end_and_weaker_where_asked(parts):
    encoder = parts.parts["text_encoder"]
    ids = torch.tensor([encoder.tokenizer.encode("disco", 256)])
    with torch.inference_mode():
        tags = read_tags(encoder, Wording("disco", "", None), weak=True)
        assert torch.equal(tags.states, encoder.model(ids, torch.ones_like(ids)))
        assert torch.equal(tags.weak, encoder.model(ids, torch.ones_like(ids), weaken=WEAK_TAGS))
        assert not torch.equal(tags.states, tags.weak)
        assert read_tags(encoder, Wording("disco", "", None), weak=False).weak is None


def test_lyrics_become_lines_of_ids():
    tokenizer = lyric_tokenizer()
    assert read_lyrics(tokenizer, Wording("", "[inst]", None), parity=False).ids == (261, 259, 6688, 2)
    empty = read_lyrics(tokenizer, Wording("", "", None), parity=True)
    assert (empty.ids, empty.mask) == ((0,), (0,))
    spanish = read_lyrics(tokenizer, Wording("", "la", "es"), parity=False)
    assert spanish.ids[:2] == (261, 284)


def test_lyrics_beyond_what_training_had_are_left_out_and_told():
    tokenizer = lyric_tokenizer()
    wording = Wording("", "la la la\n" * 1000, "en")
    read, all_of_it = read_lyrics(tokenizer, wording, parity=False), read_lyrics(tokenizer, wording, parity=True)
    assert len(all_of_it.ids) > len(read.ids) == LYRICS_MAX_IDS
    assert read.ids == all_of_it.ids[:LYRICS_MAX_IDS]
    assert read.notes == (f"The lyrics make {len(all_of_it.ids)} tokens; the model reads the first {LYRICS_MAX_IDS}.",)
