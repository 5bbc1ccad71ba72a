"""How each field of ace-step-rs's protocol is treated: data for the docs and the tests."""

from __future__ import annotations

from partita.service.doors.table import FieldRow

TABLE: tuple[FieldRow, ...] = (
    FieldRow("caption", "passed on", "`caption`"),
    FieldRow(
        "lyrics",
        "passed on",
        "`lyrics`; empty, `[inst]` and `[instrumental]` are instrumental. A model that does not sing plays, and the "
        "record says so",
    ),
    FieldRow(
        "metas",
        "translated",
        "tempo, key and metre become `bpm`, `key` and `time_signature`; other words join the caption; a length "
        "does nothing beside `duration_s`",
    ),
    FieldRow("language", "passed on", "`language`; a code that the models do not know is left out and noted"),
    FieldRow("duration_s", "passed on", "`duration_s`; null is the planner's length with `--use-lm`, else 30"),
    FieldRow(
        "shift",
        "translated",
        "`sampling.shift` of the turbo models: cut to a whole number, 1, 2 or 3, and any other is 3. Other models have "
        "no such tables, and a shift that is not 3 is noted",
    ),
    FieldRow("seed", "translated", "`seed`; the two halves of one above 4294967295 are folded into each other"),
    FieldRow("output", "translated", "the file, and its extension `output.format`; null is a name in the spool folder"),
    FieldRow("command", "translated", "`unload` lets go of the model's networks; looked at where there is no caption"),
)
"""Fields of a line."""
