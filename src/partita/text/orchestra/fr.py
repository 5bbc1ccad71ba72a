"""French names of instruments and parts, and the words that say who plays and who does not (see `vocabulary`)."""

from __future__ import annotations

from partita.text.orchestra.vocabulary import Vocabulary, plural_s

FRENCH = Vocabulary(
    language="fr",
    plurals=plural_s,
    names={
        "piano": "piano, piano à queue, piano acoustique | piano de concert | piano droit",
        "electric piano": "piano électrique, rhodes | piano Rhodes | wurlitzer, piano fender rhodes",
        "FM piano": "piano FM, piano numérique | piano des années 80 | piano électronique",
        "harpsichord": "clavecin | clavecin baroque | épinette",
        "celesta": "célesta | | célesta orchestral",
        "music box": "boîte à musique | petite boîte à musique",
        "vibraphone": "vibraphone | vibraphone jazz",
        "marimba": "marimba | marimba en bois",
        "organ": "orgue, orgue Hammond | orgue électrique | hammond",
        "church organ": "orgue d'église, grand orgue | orgue à tuyaux | grandes orgues, orgue de cathédrale",
        "accordion": "accordéon | accordéon musette | accordéon diatonique, piano à bretelles",
        "nylon guitar": "guitare classique, guitare nylon | guitare espagnole | guitare à cordes nylon, guitare "
        "flamenca",
        "acoustic guitar": "guitare acoustique, guitare sèche | guitare folk | guitare acoustique grattée",
        "jazz guitar": "guitare jazz | guitare à caisse | guitare de jazz, guitare demi caisse",
        "clean guitar": "guitare claire, guitare au son clair | guitare électrique claire | guitare clean, son clair",
        "muted guitar": "guitare étouffée | guitare en palm mute | guitare assourdie",
        "distorted guitar": "guitare saturée, guitare distordue | guitare avec distorsion | guitare lourde, grosse "
        "guitare, guitare électrique saturée, guitare métal",
        "acoustic bass": "contrebasse, basse acoustique | contrebasse jazz | contrebasse en pizzicato",
        "electric bass": "basse électrique, guitare basse | basse jouée aux doigts | basse aux doigts",
        "picked bass": "basse au médiator | basse jouée au médiator | basse médiator",
        "fretless bass": "basse fretless | basse sans frettes | fretless",
        "slap bass": "basse slappée, basse slap | basse en slap | slap",
        "synth bass": "basse synthé, basse synthétique | basse de synthétiseur | basse analogique",
        "sub bass": "basse 808, infrabasse | sub | sub bass, infrabasses",
        "violin": "violon | violon d'orchestre | violoneux",
        "cello": "violoncelle | violoncelle grave",
        "contrabass": "contrebasse à l'archet | contrebasse d'orchestre | contrebasse frottée",
        "pizzicato strings": "cordes en pizzicato, pizzicatos | cordes pincées | pizzicato, pizzicati, pizzicato de "
        "cordes",
        "harp": "harpe | harpe de concert",
        "strings": "cordes, section de cordes | ensemble à cordes | orchestre, orchestre à cordes, quatuor à cordes, "
        "ensemble de cordes, orchestre symphonique, violons",
        "slow strings": "cordes douces, cordes lentes | cordes soyeuses | cordes légato",
        "synth strings": "cordes synthétiques, cordes de synthé | cordes de synthétiseur",
        "choir": "chœur, chœurs | chorale | choeur de voix, chant choral, voix du chœur",
        "trumpet": "trompette | cornet | bugle",
        "muted trumpet": "trompette bouchée, trompette avec sourdine | trompette en sourdine | trompette sourdine",
        "brass section": "cuivres, section de cuivres | pupitre de cuivres | section cuivres, cuivre, trompettes",
        "saxophone": "saxophone, saxo | saxophone ténor | sax, saxo ténor, saxophone alto, saxo alto",
        "clarinet": "clarinette | clarinette en si bémol",
        "oboe": "hautbois | hautbois baroque",
        "flute": "flûte, flûte traversière | flûte d'orchestre",
        "square lead": "lead à onde carrée, synthé à onde carrée | lead chiptune | onde carrée, synthé carré, lead "
        "carré",
        "saw lead": "lead en dents de scie, synthé en dents de scie | lead dent de scie | dents de scie, dent de scie",
        "fantasia": "fantasia, nappe de cloches | nappe new age",
        "warm pad": "nappe chaude, nappe douce | nappe chaleureuse | pad chaleureux, pad chaud, nappe analogique",
        "polysynth": "polysynthé, synthé polyphonique | synthétiseur polyphonique | accords de synthé, polysynth",
        "space voice": "voix éthérées, nappe aérienne | voix de l'espace | voix aériennes",
        "halo pad": "nappe scintillante | nappe lumineuse | pad halo",
        "sweep pad": "nappe évolutive | nappe atmosphérique | pad évolutif",
        "kalimba": "kalimba | piano à pouces | sanza, mbira",
        "standard kit": "batterie acoustique | | batterie standard",
        "room kit": "batterie live | batterie avec de la pièce | batterie en direct",
        "power kit": "batterie rock, grosse batterie | batterie puissante | batterie métal",
        "electronic kit": "batterie électronique, boîte à rythmes | batterie programmée | percussions électroniques",
        "808 kit": "batterie 808 | boîte à rythmes 808, TR-808 | 808, batterie trap, rythme 808",
        "jazz kit": "batterie jazz | batterie swing | batterie de jazz",
        "brush kit": "batterie aux balais, balais | batterie jouée aux balais",
        "guitar": "guitare | six-cordes",
        "electric guitar": "guitare électrique | six-cordes électrique",
        "synth": "synthé, synthétiseur | synthé analogique | synth, synthétiseur analogique, synthé modulaire",
        "synth lead": "lead de synthé, synthé lead | synthé soliste | lead synthé, lead de synthétiseur, synth lead",
        "synth pad": "nappe de synthé | pad de synthé | nappe de synthétiseur, nappe synthétique, synth pad, nappe "
        "synthé",
        "keyboard": "clavier | | claviers",
        "drum kit": "kit de batterie | batterie complète",
        "woodwinds": "bois, vents | instruments à vent | section de bois",
        "bells": "cloches | clochettes | cloche",
        "mallets": "percussions à lames | claviers de percussion | lames",
        "drum part": "| | grosse caisse, caisse claire, cymbale, charleston, charley",
    },
    roles={
        "drums": "batterie, percussion, percus, tambour, beat, drums",
        "bass": "basse",
        "chords": "accord",
        "pad": "nappe, pad",
        "arp": "arpège, arpégé, arpégée, arpégés, arpégées, arpégiateur",
        "lead": "mélodie, mélodie principale, lead, voix principale, ligne mélodique, soliste, thème principal, "
        "instrument principal, chant principal, partie soliste, partie mélodique",
        "backing": "accompagnement, en fond, en arrière-plan, au fond, en toile de fond, en accompagnement, derrière, "
        "fond",
        "rhythm section": "section rythmique",
    },
    words={
        "no": "pas de, pas d, pas, aucun, aucune, ne mets pas, je ne veux pas, sans aucun, sans aucune, surtout pas, "
        "zéro, enlève, retire, évite, point de, ne veux pas de, supprime, ôte",
        "without": "sans, au lieu de, à la place de, plutôt que, dépourvu de, à la place du, au lieu du, hors, sans "
        "la moindre, sans le moindre",
        "free": "absent, absente",
        "and": "et, plus, ainsi que, puis, avec aussi, accompagné de, accompagnée de",
        "neither": "ni",
        "or": "ou, ni",
        "but": "mais, avec, cependant, en revanche, où, pas sans, ajoute",
        "only": "seulement, uniquement, juste, rien que, exclusivement, rien d'autre que, aucun instrument sauf, "
        "aucun instrument à part, uniquement du, juste du, seulement du, pas d'autre instrument que, rien d'autre qu",
        "not only": "pas seulement, pas uniquement, pas juste",
        "solo": "solo",
        "alone": "seul, seule, seuls, seules, tout seul, et rien d'autre, rien d'autre, sans accompagnement, et c'est "
        "tout, sans autre instrument, sans autres instruments, sans aucun autre instrument, aucun autre instrument, "
        "et aucun autre instrument, pas d'autre instrument",
        "except": "sauf, hormis, à part, excepté, en dehors de, à l'exception de, à l'exception du, mis à part",
        "ensemble": "duo, trio, quatuor",
        "of": "de, d, du, des, de la, au, à la, aux, à l, jouée par, joué par, joués par, portée par, porté par, par, "
        "sur, joue, porte, mène, chante, qui joue, qui porte, en, comme, tient, assure, confiée au, confiée à la, "
        "jouées par, à, pour, qui mène, qui tient, assurée par, confiée à, fait, donne, assurant, jouant, portant, "
        "est au, est à la, sont au, sont à la, interprétée par, menée par, tenue par, revient au, revient à la, est "
        "confiée à, est confié à, sont confiés à, confiés à, confié à, est jouée par, est portée par, est tenue par, "
        "jouant",
        "vague": "instrumental, peu, touche, assez, brin, soupçon, comme",
        "skip": "drum and bass, synth pop, synthpop, ballade au piano, ballade piano, battements, beats, plus basse, "
        "à voix basse, voix basse, sans voix, pas de voix, sans chant, sans paroles, sans fin, sans hâte, accordage, "
        "d'accord, en accord, pas trop, pas très, pas plus de, pas moins de, couplet et refrain, bois de rose, solo "
        "de, pop rock, beats lofi, hauts et bas, la basse ville, sous les bois, dans les bois, marche à pas, à pas de "
        "loup, pas à pas, pas si, à pas, petits pas, sans presse, au fond du, au fond de, sans texte",
    },
    strangers={
        "bagpipes": "cornemuse, biniou",
        "banjo": "banjo",
        "mandolin": "mandoline, luth",
        "ukulele": "ukulélé",
        "viola": "alto",
        "French horn": "cor, cor d'harmonie, cor français",
        "trombone": "trombone",
        "tuba": "tuba, euphonium",
        "bassoon": "basson",
        "bass clarinet": "clarinette basse",
        "cor anglais": "cor anglais",
        "piccolo": "piccolo",
        "recorder": "flûte à bec, flageolet",
        "pan flute": "flûte de pan, ocarina, quena",
        "harmonica": "harmonica, mélodica",
        "xylophone": "xylophone, balafon",
        "glockenspiel": "glockenspiel, carillon",
        "timpani": "timbales, timbale",
        "sitar": "sitar, oud, bouzouki",
        "tabla": "tabla",
        "hurdy-gurdy": "vielle à roue, cithare",
        "congas": "conga, bongo",
        "djembe": "djembé, cajon",
        "shaker": "shaker, maracas, tambourin, castagnettes, triangle, cloche à vache",
        "steel drums": "steel drum, steelpan",
        "theremin": "thérémine, clavinet",
        "bandoneon": "bandonéon, concertina, harmonium",
        "gong": "gong",
    },
)
