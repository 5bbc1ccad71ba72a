"""Italian names of instruments and parts, and the words that say who plays and who does not (see `vocabulary`)."""

from __future__ import annotations

from partita.text.orchestra.vocabulary import Vocabulary, plural_italian

ITALIAN = Vocabulary(
    language="it",
    plurals=plural_italian,
    names={
        "piano": "pianoforte, pianoforte a coda | pianoforte da concerto | piano, piano acustico, pianoforte verticale",
        "electric piano": "piano elettrico, rhodes | piano Rhodes | pianoforte elettrico, wurlitzer, piano fender "
        "rhodes",
        "FM piano": "piano FM, piano digitale | piano anni Ottanta | pianoforte digitale",
        "harpsichord": "clavicembalo | cembalo | spinetta",
        "celesta": "celesta | | celeste a tastiera",
        "music box": "carillon, scatola musicale | carillon a molla",
        "vibraphone": "vibrafono | vibrafono jazz",
        "marimba": "marimba | marimba di legno",
        "organ": "organo, organo Hammond | organo elettrico | hammond",
        "church organ": "organo da chiesa, organo a canne | organo di cattedrale | organo liturgico",
        "accordion": "fisarmonica | fisarmonica a bottoni | organetto",
        "nylon guitar": "chitarra classica, chitarra spagnola | chitarra con corde di nylon | chitarra flamenca",
        "acoustic guitar": "chitarra acustica | chitarra folk | chitarra pennata, chitarra western",
        "jazz guitar": "chitarra jazz | chitarra semiacustica | chitarra archtop",
        "clean guitar": "chitarra pulita, chitarra elettrica pulita | chitarra senza distorsione | chitarra clean",
        "muted guitar": "chitarra stoppata | chitarra in palm mute | chitarra smorzata",
        "distorted guitar": "chitarra distorta, chitarra con distorsione | chitarra satura | chitarra pesante, "
        "chitarra elettrica distorta, chitarra metal",
        "acoustic bass": "contrabbasso, basso acustico | contrabbasso pizzicato | contrabbasso jazz",
        "electric bass": "basso elettrico | basso suonato con le dita | chitarra basso",
        "picked bass": "basso con plettro | basso plettrato | basso a plettro",
        "fretless bass": "basso fretless | basso senza tasti | fretless",
        "slap bass": "basso slap | basso slappato | slap",
        "synth bass": "basso synth, basso sintetico | basso di sintetizzatore | basso analogico, synth bass",
        "sub bass": "sub-basso, basso 808 | sub | subbasso, sub bass",
        "violin": "violino | violino d'orchestra",
        "cello": "violoncello | cello",
        "contrabass": "contrabbasso con l'archetto | contrabbasso d'orchestra | contrabbasso ad arco",
        "pizzicato strings": "archi pizzicati, pizzicato d'archi | archi in pizzicato | pizzicato, pizzicati",
        "harp": "arpa | arpa da concerto",
        "strings": "archi, sezione d'archi | ensemble d'archi | orchestra d'archi, orchestra, quartetto d'archi, "
        "orchestra sinfonica",
        "slow strings": "archi morbidi, archi lenti | archi vellutati | archi legati",
        "synth strings": "archi sintetici, archi di synth | archi di sintetizzatore | string machine",
        "choir": "coro, cori | coro di voci | voci, corale",
        "trumpet": "tromba | cornetta | flicorno",
        "muted trumpet": "tromba con sordina | tromba sordinata | tromba in sordina",
        "brass section": "ottoni, sezione di ottoni | sezione fiati | fiati, sezione ottoni, trombe",
        "saxophone": "sassofono, sax | sax tenore | sassofono tenore, sax contralto, sassofono contralto",
        "clarinet": "clarinetto | clarinetto in si bemolle",
        "oboe": "oboe | oboe barocco",
        "flute": "flauto, flauto traverso | flauto d'orchestra",
        "square lead": "lead a onda quadra, synth a onda quadra | lead chiptune | onda quadra, sintetizzatore a onda "
        "quadra",
        "saw lead": "lead a dente di sega, synth a dente di sega | lead sega | dente di sega, sintetizzatore a dente "
        "di sega",
        "fantasia": "pad di campane, pad fantasia | pad new age | fantasia",
        "warm pad": "pad caldo, pad morbido | tappeto caldo | pad analogico",
        "polysynth": "polysynth, synth polifonico | sintetizzatore polifonico | accordi di synth",
        "space voice": "voci eteree, pad arioso | voce spaziale | voci spaziali",
        "halo pad": "pad luccicante | pad scintillante | pad halo",
        "sweep pad": "pad evolutivo | pad atmosferico | pad in evoluzione",
        "kalimba": "kalimba | piano a pollice | mbira",
        "standard kit": "batteria acustica | | batteria standard",
        "room kit": "batteria dal vivo | batteria ambientale | batteria da sala",
        "power kit": "batteria rock, batteria potente | batteria massiccia | batteria metal, grande batteria",
        "electronic kit": "batteria elettronica, drum machine | batteria programmata | percussioni elettroniche",
        "808 kit": "batteria 808 | TR-808 | 808, batteria trap, drum machine 808, ritmo 808",
        "jazz kit": "batteria jazz | batteria swing | batteria swingata",
        "brush kit": "batteria con le spazzole, spazzole | batteria suonata con le spazzole | batteria a spazzole",
        "guitar": "chitarra | sei corde",
        "electric guitar": "chitarra elettrica | sei corde elettrica",
        "synth": "sintetizzatore, synth | synth analogico | sintetizzatore analogico, synth modulare",
        "synth lead": "lead di synth, synth lead | synth solista | lead di sintetizzatore, sintetizzatore solista",
        "synth pad": "pad di synth, synth pad | pad sintetico | pad di sintetizzatore, tappeto di synth",
        "keyboard": "tastiera | | tastiere",
        "drum kit": "kit di batteria | set di batteria",
        "woodwinds": "legni | strumenti a fiato in legno | sezione di legni, strumenti a fiato",
        "bells": "campane | campanelle | campana, campanelli",
        "mallets": "percussioni a lamine | percussioni intonate | lamine",
        "drum part": "| | grancassa, rullante, charleston, hi hat, piatto della batteria",
    },
    roles={
        "drums": "batteria, percussione, tamburo, beat",
        "bass": "basso",
        "chords": "accordo",
        "pad": "pad, tappeto, tappeto sonoro",
        "arp": "arpeggio, arpeggiatore, arpeggiato, arpeggiata",
        "lead": "melodia, melodia principale, lead, voce principale, linea melodica, solista, tema principale, "
        "strumento principale, parte solista",
        "backing": "accompagnamento, in sottofondo, sullo sfondo, di accompagnamento, in secondo piano, di "
        "sottofondo, sfondo",
        "rhythm section": "sezione ritmica, base ritmica",
    },
    words={
        "no": "niente, nessun, nessuna, nessuno, non voglio, non mettere, non usare, non ci sia, non ci siano, non c "
        "è, non ci sono, togli, evita, escludi, elimina, nemmeno",
        "without": "senza, invece di, al posto di, invece della, al posto della, privo di, priva di, invece del, al "
        "posto del, senza alcuna, senza alcun, senza nessuna, senza nessun, anziché",
        "free": "assente",
        "and": "e, ed, più, insieme a, nonché, oltre a, accompagnato da, accompagnata da, poi",
        "neither": "né, neanche",
        "or": "né, o, oppure",
        "but": "ma, con, però, invece, dove, bensì, non senza, aggiungi",
        "only": "solo, soltanto, solamente, esclusivamente, unicamente, nient'altro che, niente tranne, nessuno "
        "strumento tranne, nessuno strumento a parte, niente altro che, niente a parte, nulla tranne",
        "not only": "non solo, non soltanto, non solamente",
        "solo": "",
        "alone": "solo, sola, soli, da solo, da sola, e basta, e nient'altro, nient'altro, senza accompagnamento, "
        "senza altri strumenti, nessun altro strumento, e nessun altro strumento, senza nessun altro strumento, in "
        "solitaria",
        "except": "tranne, eccetto, a parte, salvo, fuorché, all'infuori di, ad eccezione di",
        "ensemble": "duo, duetto, trio, quartetto",
        "of": "di, del, della, dello, dei, delle, d, dell, al, alla, allo, ai, agli, all, suonata da, suonato da, "
        "suonati da, affidata a, affidata al, affidata alla, suona, porta, conduce, canta, che suona, che porta, "
        "come, fa, esegue, per, da, dal, dalla, sul, sulla, suonando, che fa, guidata da, eseguita da, suonate da, "
        "la, le, tiene, regge, guida, è del, è della, è affidata al, è affidata alla, sono del, sono della, tocca al, "
        "tocca alla, è affidata a, sono affidati a, affidati a, affidate a, affidato a, è suonata da, è portata da, "
        "porti, suoni",
        "vague": "strumentale, poco, tocco, abbastanza, pizzico, po, come",
        "skip": "drum and bass, synth pop, synthpop, ballata al piano, ballata al pianoforte, ballata per pianoforte, "
        "beats, tono basso, volume basso, più basso, in basso, dal basso, verso il basso, senza voce, senza voci, "
        "senza canto, senza fretta, senza fine, senza sosta, piano piano, pian piano, non troppo, non molto, "
        "d'accordo, in accordo, strofa e ritornello, in accordatura, solo di, assolo di, senza testo, alti e bassi, "
        "primo piano, in primo piano, in secondo piano, sul piano, allegro ma non troppo",
    },
    strangers={
        "bagpipes": "cornamusa, zampogna",
        "banjo": "banjo",
        "mandolin": "mandolino, liuto",
        "ukulele": "ukulele",
        "viola": "viola",
        "French horn": "corno, corno francese",
        "trombone": "trombone",
        "tuba": "tuba, eufonio",
        "bassoon": "fagotto",
        "bass clarinet": "clarinetto basso",
        "cor anglais": "corno inglese",
        "piccolo": "ottavino",
        "recorder": "flauto dolce",
        "pan flute": "flauto di pan, ocarina, quena",
        "harmonica": "armonica, armonica a bocca, melodica",
        "xylophone": "xilofono, balafon",
        "glockenspiel": "glockenspiel, campane tubolari",
        "timpani": "timpani, timpano",
        "sitar": "sitar, oud, bouzouki",
        "tabla": "tabla",
        "hurdy-gurdy": "ghironda, cetra, salterio",
        "congas": "conga, bongo, bonghi",
        "djembe": "djembe, cajon",
        "shaker": "shaker, maracas, tamburello, nacchere, triangolo, campanaccio",
        "steel drums": "steel drum, steelpan",
        "theremin": "theremin, clavinet",
        "bandoneon": "bandoneon, concertina, armonium",
        "gong": "gong",
    },
)
