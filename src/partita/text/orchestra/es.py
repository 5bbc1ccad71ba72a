"""Spanish names of instruments and parts, and the words that say who plays and who does not (see `vocabulary`)."""

from __future__ import annotations

from partita.text.orchestra.vocabulary import Vocabulary, plural_s

SPANISH = Vocabulary(
    language="es",
    plurals=plural_s,
    names={
        "piano": "piano, piano de cola, piano acústico | piano de concierto | piano vertical, piano de pared",
        "electric piano": "piano eléctrico, rhodes | piano rhodes | piano wurlitzer, piano fender rhodes",
        "FM piano": "piano FM, piano digital | piano ochentero | piano electrónico",
        "harpsichord": "clavecín | clavicémbalo | clave barroco",
        "celesta": "celesta | | piano celesta",
        "music box": "caja de música, cajita de música | cajita musical | caja musical",
        "vibraphone": "vibráfono | vibráfono de jazz",
        "marimba": "marimba | marimba de madera",
        "organ": "órgano, órgano Hammond | órgano eléctrico | hammond",
        "church organ": "órgano de iglesia, órgano de tubos | órgano de catedral",
        "accordion": "acordeón | acordeón de botones | acordeón diatónico",
        "nylon guitar": "guitarra clásica, guitarra española | guitarra de nailon | guitarra flamenca, guitarra "
        "criolla, guitarra de nylon, guitarra de cuerdas de nailon",
        "acoustic guitar": "guitarra acústica | guitarra folk, guitarra acústica rasgueada | guitarra rasgueada, "
        "guitarra de cuerdas de acero",
        "jazz guitar": "guitarra de jazz | guitarra de caja | guitarra jazz",
        "clean guitar": "guitarra limpia, guitarra eléctrica limpia | guitarra sin distorsión",
        "muted guitar": "guitarra apagada | guitarra con palm mute | guitarra muteada",
        "distorted guitar": "guitarra distorsionada, guitarra con distorsión | guitarra saturada | guitarra pesada, "
        "guitarra heavy, guitarra metalera, guitarra eléctrica distorsionada, guitarra eléctrica con distorsión",
        "acoustic bass": "contrabajo, bajo acústico | contrabajo pulsado | contrabajo de jazz, tololoche",
        "electric bass": "bajo eléctrico | guitarra baja | bajo con dedos",
        "picked bass": "bajo con púa | bajo con plumilla",
        "fretless bass": "bajo sin trastes | bajo fretless | fretless",
        "slap bass": "bajo slap | bajo con slap | slap",
        "synth bass": "bajo sintetizado, bajo de sintetizador | bajo sintético | bajo analógico, bajo synth",
        "sub bass": "subgrave, bajo 808 | sub-bajo | subbajo, sub 808",
        "violin": "violín | violín de orquesta",
        "cello": "violonchelo, chelo | violoncelo | cello, violoncello",
        "contrabass": "contrabajo con arco | contrabajo de orquesta | contrabajo frotado",
        "pizzicato strings": "cuerdas en pizzicato, pizzicato de cuerdas | cuerdas pulsadas | pizzicato, cuerdas "
        "pizzicato",
        "harp": "arpa | arpa de concierto | arpa de orquesta",
        "strings": "cuerdas, sección de cuerdas | conjunto de cuerdas | orquesta de cuerdas, orquesta, cuerda, "
        "cuarteto de cuerdas, orquesta sinfónica",
        "slow strings": "cuerdas suaves, cuerdas lentas | cuerdas aterciopeladas | cuerdas legato",
        "synth strings": "cuerdas sintéticas, cuerdas de sintetizador | cuerdas sintetizadas",
        "choir": "coro, coros | coral de voces | coro de voces, voces, coral, coro celestial",
        "trumpet": "trompeta | corneta | fliscorno",
        "muted trumpet": "trompeta con sordina | trompeta en sordina | trompeta apagada",
        "brass section": "metales, sección de metales | vientos metal | vientos metales, bronces, viento metal, "
        "trompetas",
        "saxophone": "saxofón, saxo | saxo tenor | saxofón tenor, saxo alto, saxofón alto, sax, saxófono",
        "clarinet": "clarinete | clarinete soprano",
        "oboe": "oboe | oboe barroco",
        "flute": "flauta, flauta traversa | flauta travesera | flauta transversal",
        "square lead": "sintetizador de onda cuadrada, lead de onda cuadrada | lead chiptune | onda cuadrada, lead "
        "cuadrado, sinte de onda cuadrada",
        "saw lead": "sintetizador de diente de sierra, lead de sierra | lead de diente de sierra | diente de sierra, "
        "sinte de sierra",
        "fantasia": "pad de campanas, fantasía | pad new age | pad fantasía",
        "warm pad": "pad cálido, pad suave | colchón cálido | pad analógico",
        "polysynth": "polisinte, sintetizador polifónico | sinte polifónico | polysynth, acordes de sinte",
        "space voice": "voces etéreas, pad aéreo | voz espacial | voces espaciales",
        "halo pad": "pad brillante | pad resplandeciente | pad halo",
        "sweep pad": "pad evolutivo | pad atmosférico | pad de barrido",
        "kalimba": "kalimba | piano de pulgar | calimba, mbira",
        "standard kit": "batería acústica | | batería estándar",
        "room kit": "batería en vivo | batería con sala | batería de sala",
        "power kit": "batería de rock, batería potente | batería contundente | batería grande, batería de metal",
        "electronic kit": "batería electrónica, caja de ritmos | batería programada | percusión electrónica, batería "
        "techno",
        "808 kit": "batería 808 | caja de ritmos 808, TR-808 | 808, batería trap, batería de trap, ritmo 808",
        "jazz kit": "batería de jazz | batería con swing | batería jazz",
        "brush kit": "batería con escobillas, escobillas | batería tocada con escobillas | escobilla",
        "guitar": "guitarra | viola de cuerda pulsada",
        "electric guitar": "guitarra eléctrica | viola eléctrica",
        "synth": "sintetizador, sinte | sintetizador analógico | synth, sinte analógico, sintetizador modular",
        "synth lead": "lead de sintetizador, sinte solista | sintetizador solista | sinte líder, lead de sinte, synth "
        "lead",
        "synth pad": "pad de sintetizador | pad de sinte | colchón de sintetizador, colchón de sinte, synth pad",
        "keyboard": "teclado | | teclados, teclas",
        "drum kit": "set de batería | batería completa | kit de batería",
        "woodwinds": "vientos madera | viento madera | maderas, instrumentos de viento",
        "bells": "campanas | campanitas | campanillas",
        "mallets": "percusión de láminas | láminas | mazas",
        "drum part": "| | bombo, platillo, redoblante, hi hat, charles, caja de batería, tarola",
    },
    roles={
        "drums": "batería, percusión, tambor, beat, percusiones, bases de batería",
        "bass": "bajo, bajos",
        "chords": "acorde, rasgueo",
        "pad": "pad, colchón, colchón armónico",
        "arp": "arpegio, arpegiador, arpegiado, arpegiada, arpegiados, arpegiadas",
        "lead": "melodía, melodía principal, lead, voz principal, línea melódica, voz cantante, instrumento "
        "principal, tema principal, solista, parte solista, línea principal",
        "backing": "acompañamiento, de fondo, al fondo, por detrás, de acompañamiento, en segundo plano, fondo",
        "rhythm section": "sección rítmica, base rítmica",
    },
    words={
        "no": "no, nada de, ningún, ninguna, no quiero, no pongas, no uses, no hay, no lleva, quita, quitando, ni un, "
        "ni una, no metas, evita, tampoco, no incluyas, elimina, fuera la, fuera el",
        "without": "sin, en lugar de, en vez de, excluyendo, carente de, libre de, en lugar del, en vez del, sin nada "
        "de",
        "free": "ausente, fuera",
        "and": "y, e, más, además de, junto a, junto con, así como, con apoyo de",
        "neither": "ni, ni tampoco",
        "or": "ni, o, u, ni tampoco",
        "but": "pero, con, mas, sino, en cambio, aunque, donde, no sin, añade, pon",
        "only": "solo, sólo, solamente, únicamente, nada más que, exclusivamente, nada salvo, nada excepto, tan solo, "
        "nada más, no más que, no hay más que, a solas con, ningún instrumento salvo, ningún instrumento excepto",
        "not only": "no solo, no sólo, no solamente",
        "solo": "",
        "alone": "solo, a solas, sin nada más, y nada más, y ya, sin acompañamiento, sin otros instrumentos, sin más "
        "instrumentos, ningún otro instrumento, y ningún otro instrumento, sin ningún otro instrumento, y punto, y ya "
        "está, en solitario, no más",
        "except": "excepto, salvo, aparte de, menos, a excepción de, quitando, exceptuando",
        "ensemble": "dúo, dueto, trío, cuarteto",
        "of": "de, del, a cargo de, en, al, tocada por, tocado por, tocados por, tocadas por, llevada por, lleva, "
        "hace, toca, interpreta, llevando, haciendo, como, con la, que lleva, que hace, que toca, interpretada por, "
        "conduce, canta, cantando, para, tocando, corre a cargo de, la lleva, lo lleva, los hace, los toca, la toca, "
        "las hace, la hace, es de, son de, a la, la pone, los pone, pone, es tocada por, está a cargo de, corren a "
        "cargo de, lleve, haga, toque, cante",
        "vague": "instrumental, poco, toque, bastante, pizca, algo, casi, como",
        "skip": "drum and bass, tempo bajo, volumen bajo, bajo perfil, bajo volumen, tono bajo, registro bajo, bajo "
        "la, bajo el, bajo las, bajo los, bajo un, bajo una, bajo tu, bajo mi, bajo su, verso y coro, coro pegadizo, "
        "estrofa y coro, coro y estrofa, balada de piano, balada al piano, synth pop, pulsaciones, beats, un coro que "
        "se repite, con coro repetido, sin voz, sin voces, nada de voz, no vocals, de altos y bajos, altos y bajos, "
        "solo de, más bajo, muy bajo, sol o, tema principal de la película, a golpe de tambor, no más de, no menos "
        "de, no muy, no demasiado, no tan, sin prisa, sin prisas, sin parar, sin pausa, sin fin, al coro, el coro, en "
        "el coro, los coros pegadizos, bases lofi, no solo de, sin letra, y verso",
    },
    strangers={
        "bagpipes": "gaita, gaita escocesa",
        "banjo": "banjo, banyo",
        "mandolin": "mandolina, bandurria, laúd",
        "ukulele": "ukelele, ukulele",
        "viola": "viola",
        "French horn": "corno francés, trompa",
        "trombone": "trombón",
        "tuba": "tuba, bombardino",
        "bassoon": "fagot",
        "bass clarinet": "clarinete bajo",
        "cor anglais": "corno inglés",
        "piccolo": "flautín, piccolo",
        "recorder": "flauta dulce, flauta de pico",
        "pan flute": "flauta de pan, zampoña, quena, ocarina",
        "harmonica": "armónica, melódica",
        "xylophone": "xilófono, balafón",
        "glockenspiel": "glockenspiel, carillón",
        "timpani": "timbales de orquesta, timbal",
        "sitar": "sitar",
        "tabla": "tablas indias",
        "charango": "charango, cuatro venezolano, tres cubano, requinto, guitarrón, bajo sexto, bajo quinto, vihuela",
        "congas": "conga, bongó, bongos, timbaleta, tumbadora",
        "djembe": "djembé, cajón, cajón flamenco, bombo legüero",
        "shaker": "shaker, maracas, pandereta, castañuelas, cencerro, güiro, güira, pandero, palmas, triángulo",
        "steel drums": "steel pan, tambor metálico",
        "theremin": "theremín, clavinet",
        "bandoneon": "bandoneón, concertina, armonio",
        "gong": "gong",
    },
)
