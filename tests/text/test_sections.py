import pytest

from partita.text.sections import parts_of, read_tag, tag_on


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Verse", "verse"),
        ("verse 1", "verse"),
        ("Verse2", "verse"),
        ("Verse 2: Guitar solo", "verse"),
        ("Pre-Chorus", "verse"),
        ("PreChorus", "verse"),
        ("Post-Chorus", "chorus"),
        ("Chorus x2", "chorus"),
        ("Final Chorus", "chorus"),
        ("Chorus - anthemic", "chorus"),
        ("Drop", "chorus"),
        ("inst", "solo"),
        ("Guitar Solo", "solo"),
        ("Piano Interlude", "bridge"),
        ("Breakdown", "bridge"),
        ("Fade Out", "outro"),
        ("主歌", "verse"),
        ("第一段主歌", "verse"),
        ("副歌", "chorus"),
        ("サビ", "chorus"),
        ("ラストサビ", "chorus"),
        ("후렴", "chorus"),
        ("Припев", "chorus"),
        ("Estribillo", "chorus"),
        ("Strophe 1", "verse"),
        ("Zwrotka 2", "verse"),
    ],
)
def test_a_tag_names_a_part_of_the_form(text, kind):
    tag = read_tag(text)
    assert (tag.kind, tag.known) == (kind, True)


@pytest.mark.parametrize(
    "text", ["Whispers", "raspy vocal", "Female voice", "high energy", "Spoken Word", "Ad-libs", "合"]
)
def test_a_tag_of_manner_is_known_and_no_part_of_the_form(text):
    tag = read_tag(text)
    assert (tag.kind, tag.known) == (None, True)


@pytest.mark.parametrize("text", ["Vrese", "Xyzzy", "00:12.30", "", "!!"])
def test_other_tags_are_not_known(text):
    assert not read_tag(text).known


@pytest.mark.parametrize("text", ["Drop", "Build up", "Verse - instrumental", "Intro", "Guitar Solo", "Whispers"])
def test_these_promise_no_words(text):
    assert not read_tag(text).sung


def test_a_tag_stands_alone_on_its_line():
    assert tag_on("  [Verse]  ") == read_tag("Verse")
    for line in ("[Verse] la", "la [Verse]", "[Verse", "[]", "[ ]", "[a][b]", ""):
        assert tag_on(line) is None


def test_parts_have_their_lines_with_their_numbers():
    parts = parts_of("hum\n\n[Verse]\na\n \nb [c]\n[Chorus]\n[Outro]\nbye")
    assert [(part.tag and part.tag.text, part.number) for part in parts] == [
        (None, 1),
        ("Verse", 3),
        ("Chorus", 7),
        ("Outro", 8),
    ]
    assert [[(line.number, line.text) for line in part.lines] for part in parts] == [
        [(1, "hum")],
        [(4, "a"), (6, "b [c]")],
        [],
        [(9, "bye")],
    ]


def test_no_words_are_no_parts():
    assert parts_of("") == parts_of(" \n\n") == ()
