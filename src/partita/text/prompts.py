"""The exact strings that ACE-Step 1.5 is trained on: prompt, lyric string, instruction and metadata block.

Pure string building, byte for byte as the original. Checks no ranges and fills in no defaults but the words that
stand for "not given": both are the request's business. Tokens are `partita.text.tokenizers`' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

PROMPT_MAX_TOKENS = 256  # both limits count the appended <|endoftext|>
LYRICS_MAX_TOKENS = 2048

NOT_GIVEN = "N/A"
INSTRUMENTAL_LYRICS = "[Instrumental]"
UNKNOWN_DURATION_S = 30

BPM_RANGE = (30, 300)
DURATION_RANGE_S = (10, 600)
TIME_SIGNATURES = (2, 3, 4, 6)
TrackName = Literal[
    "woodwinds",
    "brass",
    "fx",
    "synth",
    "strings",
    "percussion",
    "keyboard",
    "guitar",
    "bass",
    "drums",
    "backing_vocals",
    "vocals",
]
TRACK_NAMES: tuple[TrackName, ...] = get_args(TrackName)
KEY_SCALES = tuple(
    f"{note}{accidental} {mode}"
    for note in "ABCDEFG"
    for accidental in ("", "#", "b", "♭", "♯")
    for mode in ("major", "minor")
)

TEXT_TO_MUSIC = "Fill the audio semantic mask based on the given conditions:"
_COVER = "Generate audio semantic tokens based on the given conditions:"
_REPAINT = "Repaint the mask area based on the given conditions:"

_METADATA_ALIASES = {
    "bpm": ("bpm", "tempo"),
    "timesignature": ("timesignature", "time_signature"),
    "keyscale": ("keyscale", "key", "scale"),
    "duration": ("duration", "length"),
}
_INNER_CAPTION = re.compile(r"#\s*Caption\s*\n(.*?)(?:\n\s*#\s*Metas|\Z)", re.DOTALL)


def instruction_for(task: str, track: str | None = None, tracks: Sequence[str] = ()) -> str:
    """The trained instruction of a task (`cover-nofsq` and text to music with audio codes: as `cover`).

    `track` is one of TRACK_NAMES for extract and lego, `tracks` some of them for complete. A task without an
    instruction of its own gets that of text to music.
    """
    if task in ("cover", "cover-nofsq"):
        return _COVER
    if task == "repaint":
        return _REPAINT
    if task == "extract":
        return f"Extract the {track.upper()} track from the audio:" if track else "Extract the track from the audio:"
    if task == "lego":
        which = f"{track.upper()} track" if track else "track"
        return f"Generate the {which} based on the audio context:"
    if task == "complete":
        names = " | ".join(name.upper() for name in tracks)
        return f"Complete the input track with {names}:" if names else "Complete the input track:"
    return TEXT_TO_MUSIC


def metadata_block(
    bpm: int | str | None = None,
    time_signature: str | None = None,
    key: str | None = None,
    duration: float | str | None = None,
) -> str:
    """The four lines under `# Metas`; what is None, blank or (for bpm) 0 reads `N/A`.

    A number of seconds is cut to whole seconds; a text stands as it is; anything else reads `30 seconds`. For tasks
    with a source it is the source's duration.
    """
    if isinstance(duration, str):
        length = duration
    else:
        known = isinstance(duration, (int, float))
        length = f"{int(duration) if known else UNKNOWN_DURATION_S} seconds"
    return (
        f"- bpm: {_or_not_given(bpm or None)}\n- timesignature: {_or_not_given(time_signature)}\n"
        f"- keyscale: {_or_not_given(key)}\n- duration: {length}\n"
    )


def metadata_block_from(values: Mapping[str, Any]) -> str:
    """The block from a mapping, with the names that users give as well: tempo, time_signature, key, scale, length."""
    found = {
        field: next((values[name] for name in names if name in values), None)
        for field, names in _METADATA_ALIASES.items()
    }
    return metadata_block(found["bpm"], found["timesignature"], found["keyscale"], found["duration"])


def text_prompt(instruction: str, caption: str, metadata: str) -> str:
    """The prompt for the text encoder. `metadata` is a block as above; a missing final colon of the instruction is
    added."""
    ended = instruction if instruction.endswith(":") else instruction + ":"
    return f"# Instruction\n{ended}\n\n# Caption\n{caption}\n\n# Metas\n{metadata}<|endoftext|>\n"


def lyric_prompt(lyrics: str, language: str) -> str:
    """The string whose tokens are the lyric condition. Instrumental music has the lyrics `[Instrumental]`."""
    return f"# Languages\n{language}\n\n# Lyric\n{lyrics}<|endoftext|>"


def text_and_lyric_prompts(
    caption: str,
    lyrics: str,
    language: str,
    metadata: Mapping[str, Any] | str | None = None,
    instruction: str | None = None,
) -> tuple[str, str]:
    """Both prompts from loose values: a metadata text stands as it is, a mapping may override caption and language."""
    values = metadata if isinstance(metadata, Mapping) else {}
    block = metadata if isinstance(metadata, str) else metadata_block_from(values)
    prompt = text_prompt(instruction or TEXT_TO_MUSIC, values.get("caption") or caption, block)
    return prompt, lyric_prompt(lyrics, values.get("language") or language)


def inner_caption(caption: str) -> str:
    """The caption section of a caption that is itself a full prompt; any other caption as it is."""
    if "# Instruction" not in caption or "# Caption" not in caption:
        return caption
    section = _INNER_CAPTION.search(caption)
    return section.group(1).strip() if section else caption


def stems_caption(caption: str, global_caption: str, instruction: str, *, explicit_mask: bool) -> str:
    """The caption block of the SFT stems checkpoint (`is_lego_sft` in its config).

    `explicit_mask` says that the chunk mask is the request's own rather than left to the model. An instruction for a
    segment leaves the global caption out.
    """
    local = f"Local: {caption}\nMask Control: {'true' if explicit_mask else 'false'}"
    return local if "a segment" in instruction else f"Global: {global_caption}\n{local}"


def training_prompt(sample: Mapping[str, Any], *, tag_position: str = "prepend", use_genre: bool = False) -> str:
    """The prompt of one training sample.

    `sample` holds caption, genre, bpm, keyscale, timesignature and duration as far as known; its `prompt_override`
    ("caption" or "genre") beats `use_genre`, and its `custom_tag` is put before, after or in place of the text
    (`tag_position`: prepend, append, replace).
    """
    override = sample.get("prompt_override")
    genre = override == "genre" if override in ("caption", "genre") else use_genre
    text = sample.get("genre" if genre else "caption") or ""
    tag = sample.get("custom_tag") or ""
    if tag:
        parts = {"append": (text, tag), "replace": (tag,)}.get(tag_position, (tag, text))
        text = ", ".join(part for part in parts if part)
    block = metadata_block(
        sample.get("bpm"), sample.get("timesignature"), sample.get("keyscale"), sample.get("duration") or 0
    )
    return text_prompt(TEXT_TO_MUSIC, text, block)


def _or_not_given(value: object) -> str:
    text = "" if value is None else str(value)
    return text if text.strip() else NOT_GIVEN
