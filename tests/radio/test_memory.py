"""What is remembered, and what it says of songs to come."""

import threading
from dataclasses import replace

import pytest

from partita.errors import ResourceError
from partita.radio import memory as module
from partita.radio.memory import Memory, Played, Tastes, features

RAIN = Played(at=1.0, caption="lofi, rain, warm", seed=1, duration_s=100.0, bpm=84, key="A minor", style="lo-fi")


class TestMemory:
    def test_songs_outlive_the_radio_in_their_order(self, tmp_path):
        first = Memory(tmp_path)
        first.add(RAIN)
        first.add(replace(RAIN, caption="second"))
        assert [one.caption for one in Memory(tmp_path).history()] == ["lofi, rain, warm", "second"]
        assert Memory(tmp_path).history(1)[0].caption == "second"

    def test_a_verdict_can_be_changed(self, memory):
        number = memory.add(RAIN)
        memory.judge(number, 1)
        assert memory.history()[0].verdict == 1
        memory.judge(number, -1)
        assert memory.tastes().bans("lofi, rain, warm")
        memory.judge(number, 0)
        assert not memory.tastes().bans("lofi, rain, warm")

    def test_only_unjudged_songs_are_forgotten(self, memory, monkeypatch):
        monkeypatch.setattr(module, "KEPT", 3)
        memory.judge(memory.add(RAIN), 1)
        for number in range(10):
            memory.add(replace(RAIN, caption=f"song {number}"))
        assert [one.caption for one in memory.history(100)] == ["lofi, rain, warm", "song 7", "song 8", "song 9"]

    def test_several_radios_write_at_once(self, tmp_path):
        def add() -> None:
            own = Memory(tmp_path)
            for _ in range(5):
                own.judge(own.add(RAIN), 1)

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(Memory(tmp_path).history()) == 20

    def test_a_file_that_is_none_is_named(self, tmp_path):
        (tmp_path / "radio.db").write_text("no database, and longer than a hundred bytes " * 10)
        with pytest.raises(ResourceError, match=r"radio\.db"):
            Memory(tmp_path)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(ResourceError, match="file"):
            Memory(tmp_path / "file" / "radio")


class TestTastes:
    def test_what_is_liked_weighs_more_and_what_is_not_less(self):
        tastes = Tastes([replace(RAIN, verdict=1), replace(RAIN, caption="techno", style=None, key=None, verdict=-1)])
        assert tastes.weight(*features("warm")) == 2.0
        assert tastes.weight(*features("techno")) == 0.5
        assert tastes.weight(*features("", key="A minor", style="lo-fi")) == 4.0
        assert tastes.weight(*features("unheard")) == 1.0

    def test_weights_have_limits(self):
        many = [replace(RAIN, verdict=1)] * 50 + [replace(RAIN, caption="noise", verdict=-1)] * 200
        tastes = Tastes(many)
        assert tastes.weight(*features("warm")) == 8.0
        assert tastes.weight(*features("noise")) == 1 / 16

    def test_tempi_are_alike_within_ten_beats(self):
        assert features("", bpm=84) == features("", bpm=89) != features("", bpm=90)

    def test_a_disliked_caption_is_banned_however_it_is_written(self):
        assert Tastes([replace(RAIN, verdict=-1)]).bans("Lofi, Rain, WARM")
        assert not Tastes([replace(RAIN, verdict=1)]).bans("Lofi, Rain, WARM")
