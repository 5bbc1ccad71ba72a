"""`partita estilos`: the listing of `partita styles`, told in Spanish."""

from __future__ import annotations

from partita.cli.styles import Texts, styles_command

SPANISH = Texts(
    language="es",
    summary="""Muestra los estilos, o uno entero: NAME, o un archivo tuyo como ./mio.yaml.

    Un estilo completa lo que dejas abierto: `partita generate --style salsa`. Cómo escribir uno: docs/estilos.md.""",
    closing="Uno entero: partita estilos NOMBRE. Una canción: partita generate --style NOMBRE.",
    nameless="--words necesita un estilo: partita estilos NOMBRE --words.",
    no_words="El estilo {name} no tiene letra en {language}.",
    words_help="Solo la letra, lista para --lyrics: --seed elige entre las variantes, --language entre los idiomas.",
    seed_help="Qué letra: la que tiene una canción de esta semilla. Por defecto: 0.",
    columns=("nombre", "título", "tempo", "letra", "etiquetas"),
    labels={
        "aliases": "también",
        "tempo": "tempo",
        "metre": "compás",
        "keys": "tonos",
        "genre": "género",
        "instruments": "instrumentos",
        "moods": "ánimo",
        "vocals": "voz",
        "caption": "descripción",
        "built_in": "built-in",
        "words": "letra",
    },
    languages={"en": "inglés", "es": "español", "pt": "portugués"},
)

command = styles_command("estilos", SPANISH)
