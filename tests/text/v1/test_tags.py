import pytest
from hypothesis import given, strategies as st

from partita.text.v1.tags import TRAINED, tagged, trained_tag


@pytest.mark.parametrize(
    ("written", "trained"),
    [
        *((tag, tag) for tag in TRAINED),
        ("Verse 1", "verse"),
        ("Verse 2: Guitar solo", "verse"),
        ("Chorus x2", "chorus"),
        ("Final Chorus", "chorus"),
        ("Coro", "chorus"),
        ("Estribillo", "chorus"),
        ("Pre Chorus", "pre-chorus"),
        ("PreChorus", "pre-chorus"),
        ("Pre-Chorus 2", "pre-chorus"),
        ("Post-Chorus", "chorus"),
        ("Instrumental", "inst"),
        ("Instrumental Break", "inst"),
        ("Piano Interlude", "inst"),
        ("Guitar Solo", "solo"),
        ("Breakdown", "break"),
        ("Hook/Chorus", "chorus"),
        ("Intro – Spoken", "intro"),
        ("Fade Out", "outro"),
        ("Puente", "bridge"),
        ("副歌", "chorus"),
        ("主歌 1", "verse"),
        ("Drop", None),
        ("Build-Up", None),
        ("female vocal", None),
        ("男声", None),
        ("", None),
    ],
)
def test_a_writers_tag_means_a_trained_one(written, trained):
    assert trained_tag(written) == trained


@pytest.mark.parametrize(
    ("line", "trained", "rest"),
    [
        ("[Verse]", "verse", ""),
        ("**[Chorus]**", "chorus", ""),
        ("### **[Verse 1]**", "verse", ""),
        ("[Bridge]:", "bridge", ""),
        ("[Coro] Te quiero", "chorus", "Te quiero"),
        ("[男声] 我爱你", None, "我爱你"),
        ("［副歌］", "chorus", ""),
        ("【副歌】", "chorus", ""),
        ("(Chorus)", "chorus", ""),
        ("（副歌）", "chorus", ""),
        ("**Verse 2**", "verse", ""),
        ("Pre Chorus:", "pre-chorus", ""),
        ("## Outro", "outro", ""),
    ],
)
def test_lines_that_are_or_begin_with_a_tag(line, trained, rest):
    found = tagged(line)
    assert found is not None
    assert (found.trained, found.rest) == (trained, rest)


@pytest.mark.parametrize(
    "line",
    [
        "Chorus of angels",
        "(solo)",
        "(hook)",
        "verse",
        "**solo**",
        "【重点】听我说",
        "I sing before [Chorus]",
        "he said:",
        "[Hook",
    ],
)
def test_lines_that_are_sung(line):
    assert tagged(line) is None


@given(st.text(max_size=30))
def test_any_line_is_a_tag_or_none(line):
    found = tagged(line)
    assert found is None or found.trained in (*TRAINED, None)
