"""The program `partita`: its verbs, its exit codes, and what becomes of errors and Ctrl-C.

Verbs are loaded when they are called, so that `partita --help` imports neither torch nor the request type.

Exit codes: 0 done, 1 another fault, 2 bad request or usage, 3 model files, 4 audio files, 5 replay impossible,
6 memory or disk, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module, metadata

import click

from partita.errors import PartitaError

SECTIONS: dict[str, dict[str, str]] = {
    "Make songs": {
        "generate": "Make a song from a caption.",
        "retake": "Take a song again, a little otherwise.",
        "replay": "Render a song again from the record inside it.",
    },
    "Plan songs and write words": {
        "plan": "What generate would play, without playing it.",
        "write": "Caption, lyrics and metadata from a wish.",
        "format": "A caption and lyrics in a planner's own words.",
        "styles": "Genres to begin from: tags, tempo and words to sing.",
        "estilos": "Lo mismo que styles, en español.",
        "describe": "What audio sounds like, in words.",
    },
    "Work from audio": {
        "cover": "Its melody and form in another style.",
        "audio-to-audio": "Dissolve it partly in noise and make it anew by the words.",
        "repaint": "Make a region of it anew.",
        "outpaint": "Make a region anew that may reach beyond it.",
        "extend": "Add music before it, after it, or both.",
        "edit": "Give it other words, or another style.",
        "complete": "Add an accompaniment.",
        "lego": "Add one track to it.",
        "extract": "Take one track out of it.",
    },
    "Keep it running": {
        "serve": "Answer over HTTP, and in other programs' protocols.",
        "daemon": "Answer clients of ace-step-rs on a Unix socket.",
        "radio": "Whole songs one after another, without a gap.",
    },
    "Files and models": {
        "score": "How good a song of ours is, and when its lines are sung.",
        "probe": "Measure any audio file: tempo, key, loudness, defects.",
        "adapters": "List adapters by their metadata.",
        "models": "What models are here, and what could be fetched.",
        "download": "Fetch a model, or go on fetching it.",
        "verify": "Check a model's files and render a fixed song with it.",
        "doctor": "How this machine will be used, and why.",
    },
}
VERBS: dict[str, str] = {verb: text for section in SECTIONS.values() for verb, text in section.items()}
_OF_TASKS = SECTIONS["Work from audio"]

_EPILOG = "Exit codes: 0 done, 1 other fault, 2 bad request, 3 model, 4 audio, 5 replay, 6 memory or disk, 130 stopped."


class LazyGroup(click.Group):
    """Finds each verb when it is called: in the module of its name, or among the tasks that work from audio."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        if cmd_name in _OF_TASKS:
            return import_module("partita.cli.tasks").command_of(cmd_name)
        return import_module(f"partita.cli.{cmd_name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"There is no verb {args[0]!r}. Verbs: {', '.join(VERBS)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, VERBS))
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), text) for verb, text in verbs.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"partita {metadata.version('partita')}")
        ctx.exit()


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print it.")
def app() -> None:
    """Partita: describe a song and get a song, on your own machine.

    Begin with:  partita generate "slow piano ballad, warm and quiet"

    How to work from audio, and what the strengths mean: docs/tasks.md
    """


def run() -> None:
    """Entry point of the console command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command line and return its exit code. Never lets a traceback through for an expected fault."""
    as_json = "--json" in arguments
    try:
        code = app.main(arguments, prog_name="partita", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return _fail("Stopped. Nothing half-written was left behind.", 130, as_json)
    except click.ClickException as error:
        if not as_json:
            error.show()
            return error.exit_code
        return _fail(error.format_message(), error.exit_code, as_json)
    except PartitaError as error:
        return _fail("\n".join([str(error), *getattr(error, "__notes__", ())]), error.exit_code, as_json, error)
    except MemoryError:
        return _fail("Memory ran out. Try a shorter song, or --policy one-at-a-time.", 6, as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: be quiet at exit too
        return 1
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int, as_json: bool, error: PartitaError | None = None) -> int:
    if as_json:
        kind = type(error).__name__ if error is not None else "Cancelled" if code == 130 else "UsageError"
        details = {
            name: str(value)
            for name in ("field", "value", "path", "key", "kept_at")
            if (value := getattr(error, name, None)) is not None
        }
        click.echo(json.dumps({"error": {"kind": kind, "message": message, **details}}, ensure_ascii=False))
    click.echo(message if code == 130 else f"partita: {message}", err=True)
    return code
