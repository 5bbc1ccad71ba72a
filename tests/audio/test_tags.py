from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings, strategies as st

from partita.audio.formats import SUFFIX
from partita.audio.id3 import build_id3, parse_id3, short_key
from partita.audio.read import read
from partita.audio.tags import read_record, read_tags
from partita.audio.write import write
from partita.audio.xiph import build_comments, ogg_crc, parse_comments
from partita.errors import AudioError
from tests.audio.conftest import music

RECORD = json.dumps(
    {"lyrics": '[Verse]\nÄ line 歌 🎵 "quoted" \\ back\r\n' * 500, "seed": 2**32 - 1}, ensure_ascii=False
)
TAGS = {
    "title": "Nächtliche Straße",
    "artist": "Partita",
    "comment": "made on my own machine",
    "description": "slow piano ballad,\nwarm & quiet = nice",
    "bpm": "92",
    "key": "F# minor",
    "lyrics": "[Verse]\nUnter dem Licht\n\n[Chorus]\n夜の歌",
    "PARTITA_RECORD": RECORD,
}
EVERY = tuple(SUFFIX)
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=600)


@pytest.fixture(autouse=True)
def _aac_needs_pyav(request: pytest.FixtureRequest) -> None:
    if "aac" in request.node.name:
        pytest.importorskip("av")


@pytest.mark.parametrize("format", EVERY)
def test_every_tag_comes_back_with_a_long_record(tmp_path: Path, format: str) -> None:
    assert len(RECORD.encode()) > 20_000
    path = tmp_path / f"a{SUFFIX[format]}"
    write(path, music(1.0), format=format, tags=TAGS)
    assert read_tags(path) == TAGS
    assert read_record(path) == RECORD


@pytest.mark.parametrize("format", EVERY)
def test_tags_do_not_touch_the_sound(tmp_path: Path, format: str) -> None:
    samples = music(1.0)
    write(tmp_path / "bare", samples, format=format)
    write(tmp_path / "tagged", samples, format=format, tags=TAGS)
    np.testing.assert_array_equal(read(tmp_path / "bare").samples, read(tmp_path / "tagged").samples)
    assert read_tags(tmp_path / "bare") == {}
    assert read_record(tmp_path / "bare") is None


@pytest.mark.parametrize("format", EVERY)
def test_another_program_sees_the_tags(tmp_path: Path, format: str) -> None:
    """FFmpeg, which shares no code with the writers here (but for AAC's native names)."""
    av = pytest.importorskip("av")
    path = tmp_path / f"a{SUFFIX[format]}"
    write(path, music(1.0), format=format, tags=TAGS)
    with av.open(str(path)) as container:
        seen = {**container.streams.audio[0].metadata, **container.metadata}
        frames = sum(frame.samples for frame in container.decode(audio=0))
    seen = {name.lower(): text for name, text in seen.items()}
    assert {name: seen[name] for name in ("title", "artist")} == {name: TAGS[name] for name in ("title", "artist")}
    assert seen["partita_record"] == RECORD
    assert frames >= 48_000


@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
def test_libsndfile_sees_the_tags_it_knows(tmp_path: Path, format: str) -> None:
    write(tmp_path / "a", music(1.0), format=format, tags=TAGS)
    with soundfile.SoundFile(tmp_path / "a") as file:
        assert (file.title, file.artist, file.comment) == (TAGS["title"], TAGS["artist"], TAGS["comment"])


@pytest.mark.parametrize("size", [200, 255 * 255 - 60, 255 * 255, 70_000, 300_000])
@pytest.mark.parametrize("format", ["ogg", "opus", "flac", "wav", "mp3"])
def test_records_of_any_size_fit(tmp_path: Path, format: str, size: int) -> None:
    """Sizes around an Ogg page's 255 segments of 255 bytes."""
    record = "r" * size
    write(tmp_path / "a", music(0.3), format=format, tags={"PARTITA_RECORD": record})
    assert read_record(tmp_path / "a") == record
    assert len(read(tmp_path / "a").samples) == round(0.3 * 48_000)


@given(st.dictionaries(st.sampled_from(["title", "comment", "lyrics", "key", "bpm", "odd name"]), TEXT))
def test_id3_and_vorbis_comments_keep_any_text(tags: dict[str, str]) -> None:
    assert parse_id3(build_id3(tags)) == tags
    assert parse_comments(build_comments(tags)) == tags


def test_id3_of_other_programs() -> None:
    def frame(name: bytes, body: bytes) -> bytes:
        return name + len(body).to_bytes(4, "big") + b"\x00\x00" + body

    frames = (
        frame(b"TIT2", b"\x01" + "Größe".encode("utf-16"))
        + frame(b"TPE1", b"\x00Jos\xe9\x00")
        + frame(b"COMM", b"\x00engiTunNORM\x00 0000")
        + frame(b"COMM", b"\x01eng" + "\x00".encode("utf-16") + "Wörter".encode("utf-16"))
        + frame(b"TXXX", b"\x01" + "mood\x00".encode("utf-16") + "calm".encode("utf-16"))
        + frame(b"TKEY", b"\x00Am")
        + frame(b"APIC", bytes(300))
        + bytes(50)
    )
    size = len(frames)
    tag = b"ID3\x03\x00\x00" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + frames
    assert parse_id3(tag) == {"title": "Größe", "artist": "José", "comment": "Wörter", "mood": "calm", "key": "Am"}


@pytest.mark.parametrize(
    ("key", "short"), [("C major", "C"), ("F# minor", "F#m"), ("Bb minor", "Bbm"), ("b major", "B"), ("weird", None)]
)
def test_players_get_the_short_name_of_the_key(key: str, short: str | None) -> None:
    assert short_key(key) == short


def test_the_ogg_checksum_is_the_published_one() -> None:
    """Bit by bit after RFC 3533: polynomial 0x04c11db7, from 0, not reflected, not inverted."""
    data = bytes(range(256)) * 3
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)
            register &= 0xFFFFFFFF
    assert ogg_crc(data) == register


def test_half_a_character_does_not_cost_the_song(tmp_path: Path) -> None:
    write(tmp_path / "a.flac", music(0.2), format="flac", tags={"title": "a\ud83cb", "comment": ""})
    assert read_tags(tmp_path / "a.flac") == {"title": "a?b"}


@pytest.fixture(scope="module")
def short_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("short")
    for format in ("wav", "flac", "ogg", "mp3"):
        tags = {"title": "t" * 40, "PARTITA_RECORD": "r" * 300}
        write(folder / format, music(0.02), format=format, tags=tags)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_give_tags_or_an_error_of_ours(
    short_files: dict[str, Path], format: str, data: st.DataObject
) -> None:
    content = bytearray(short_files[format].read_bytes())
    path = short_files[format].with_suffix(".damaged")
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, min(len(content) - 1, 700)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    for look in (read_tags, read):
        with contextlib.suppress(AudioError):  # anything else that is raised fails the test
            look(path)
