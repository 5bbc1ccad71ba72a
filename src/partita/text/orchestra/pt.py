"""Portuguese names of instruments and parts, and the words that say who plays and who does not (see `vocabulary`)."""

from __future__ import annotations

from partita.text.orchestra.vocabulary import Vocabulary, plural_portuguese

PORTUGUESE = Vocabulary(
    language="pt",
    plurals=plural_portuguese,
    names={
        "piano": "piano, piano de cauda, piano acústico | piano de concerto | piano de armário, piano vertical",
        "electric piano": "piano elétrico, rhodes | piano Rhodes | piano eléctrico, wurlitzer, piano fender rhodes",
        "FM piano": "piano FM, piano digital | piano dos anos 80 | piano eletrônico",
        "harpsichord": "cravo | cravo barroco | clavecino",
        "celesta": "celesta | | celesta de orquestra",
        "music box": "caixinha de música, caixa de música | caixinha musical",
        "vibraphone": "vibrafone | vibrafone de jazz",
        "marimba": "marimba | marimba de madeira",
        "organ": "órgão, órgão Hammond | órgão elétrico | hammond",
        "church organ": "órgão de igreja, órgão de tubos | órgão de catedral",
        "accordion": "acordeão, sanfona | gaita-ponto | acordeon",
        "nylon guitar": "violão, violão clássico | violão de nylon | violão de náilon, violão espanhol, guitarra "
        "clássica, guitarra espanhola",
        "acoustic guitar": "violão de aço, violão folk | violão com cordas de aço | guitarra acústica, violão batido",
        "jazz guitar": "guitarra de jazz | guitarra semiacústica | guitarra jazz, guitarra acústica de jazz",
        "clean guitar": "guitarra limpa, guitarra com som limpo | guitarra sem distorção | guitarra clean",
        "muted guitar": "guitarra abafada | guitarra com palm mute | guitarra em palm mute",
        "distorted guitar": "guitarra distorcida, guitarra com distorção | guitarra saturada | guitarra pesada, "
        "guitarra elétrica distorcida, guitarra de metal",
        "acoustic bass": "contrabaixo acústico, baixo acústico | contrabaixo dedilhado | baixo de pau",
        "electric bass": "baixo elétrico, contrabaixo elétrico | baixo com dedos | guitarra baixo, viola baixo",
        "picked bass": "baixo com palheta | baixo palhetado | baixo de palheta",
        "fretless bass": "baixo fretless | baixo sem trastes | fretless",
        "slap bass": "baixo slap, baixo com slap | baixo em slap | slap",
        "synth bass": "baixo sintetizado, baixo de sintetizador | baixo sintético | baixo analógico, baixo synth",
        "sub bass": "subgrave, baixo 808 | sub | sub grave, sub bass",
        "violin": "violino | rabeca",
        "cello": "violoncelo | cello | violoncello",
        "contrabass": "contrabaixo com arco | contrabaixo de orquestra | contrabaixo de arco",
        "pizzicato strings": "cordas em pizzicato, pizzicato de cordas | cordas pinçadas | pizzicato, cordas pizzicato",
        "harp": "harpa | harpa de concerto",
        "strings": "cordas, naipe de cordas | conjunto de cordas | seção de cordas, secção de cordas, orquestra, "
        "orquestra de cordas, quarteto de cordas, orquestra sinfônica",
        "slow strings": "cordas suaves, cordas lentas | cordas aveludadas | cordas em legato",
        "synth strings": "cordas sintéticas, cordas de sintetizador | cordas sintetizadas",
        "choir": "coro, coral | coro de vozes | vozes, coros",
        "trumpet": "trompete | flugelhorn | pistão",
        "muted trumpet": "trompete com surdina | trompete em surdina | trompete abafado",
        "brass section": "metais, naipe de metais | seção de metais | secção de metais, sopros de metal, trompetes",
        "saxophone": "saxofone, sax | sax tenor | saxofone tenor, sax alto, saxofone alto",
        "clarinet": "clarinete | clarineta",
        "oboe": "oboé | oboé barroco",
        "flute": "flauta, flauta transversal | flauta transversa",
        "square lead": "lead de onda quadrada, sintetizador de onda quadrada | lead chiptune | onda quadrada, synth "
        "de onda quadrada",
        "saw lead": "lead dente de serra, sintetizador dente de serra | lead de serra | dente de serra, synth dente "
        "de serra",
        "fantasia": "pad de sinos, pad fantasia | pad new age | fantasia",
        "warm pad": "pad quente, pad suave | pad aconchegante | pad caloroso, pad analógico",
        "polysynth": "polysynth, sintetizador polifônico | synth polifônico | acordes de synth, sintetizador "
        "polifónico",
        "space voice": "vozes etéreas, pad etéreo | voz espacial | vozes espaciais",
        "halo pad": "pad cintilante | pad luminoso | pad halo",
        "sweep pad": "pad evolutivo | pad atmosférico | pad em evolução",
        "kalimba": "kalimba | piano de polegar | calimba, mbira",
        "standard kit": "bateria acústica | | bateria padrão",
        "room kit": "bateria ao vivo | bateria com ambiência | bateria de sala",
        "power kit": "bateria de rock, bateria potente | bateria pesada | bateria de metal, bateria forte",
        "electronic kit": "bateria eletrônica, caixa de ritmos | bateria programada | bateria eletrónica, percussão "
        "eletrônica",
        "808 kit": "bateria 808 | TR-808 | 808, bateria de trap, batida 808, bateria trap",
        "jazz kit": "bateria de jazz | bateria com suingue | bateria jazz, bateria com swing",
        "brush kit": "bateria com vassourinhas, vassourinhas | bateria tocada com vassourinhas | bateria com "
        "escovinhas, escovinhas",
        "guitar": "| | guitarra ou violão",
        "electric guitar": "guitarra, guitarra elétrica | guitarra plugada | guitarra eléctrica",
        "synth": "sintetizador, synth | sintetizador analógico | synth analógico, sintetizador modular",
        "synth lead": "lead de sintetizador, synth lead | sintetizador solista | lead de synth, synth solista",
        "synth pad": "pad de sintetizador, synth pad | pad de synth | cama de sintetizador, cama de synth",
        "keyboard": "teclado | | teclados, teclas",
        "drum kit": "kit de bateria | bateria completa | set de bateria",
        "woodwinds": "madeiras | sopros de madeira | instrumentos de sopro, naipe de madeiras",
        "bells": "sinos | sininhos | sino",
        "mallets": "percussão de lâminas | lâminas | percussões de lâminas",
        "drum part": "| | bumbo, chimbal, caixa da bateria, prato da bateria, hi hat",
    },
    roles={
        "drums": "bateria, percussão, tambor, batida, beat, percussões",
        "bass": "baixo, contrabaixo",
        "chords": "acorde",
        "pad": "pad, cama harmônica, cama sonora",
        "arp": "arpejo, arpejador, arpejado, arpejada, dedilhado",
        "lead": "melodia, melodia principal, lead, voz principal, linha melódica, solista, tema principal, "
        "instrumento principal, parte solista",
        "backing": "acompanhamento, ao fundo, de fundo, no fundo, de acompanhamento, em segundo plano, fundo",
        "rhythm section": "seção rítmica, secção rítmica, base rítmica, cozinha rítmica",
    },
    words={
        "no": "nada de, nenhum, nenhuma, não quero, não use, não usar, não coloque, não ponha, não tem, não há, não "
        "haja, tire, retire, evite, não leva, exclua, não inclua, elimine, não",
        "without": "sem, em vez de, no lugar de, em lugar de, livre de, em vez do, em vez da, no lugar da, no lugar "
        "do, sem nenhum, sem nenhuma, sem qualquer, ao invés de",
        "free": "ausente, fora",
        "and": "e, mais, além de, junto com, assim como, bem como, acompanhado de, acompanhada de",
        "neither": "nem, nem mesmo",
        "or": "nem, ou",
        "but": "mas, com, porém, onde, em que, não sem, adicione, acrescente",
        "only": "só, somente, apenas, unicamente, exclusivamente, nada além de, nada mais que, nada exceto, nenhum "
        "instrumento exceto, nenhum instrumento além de, nenhum instrumento a não ser, nada a não ser",
        "not only": "não só, não apenas, não somente",
        "solo": "solo",
        "alone": "sozinho, sozinha, sozinhos, solo, e mais nada, mais nada, e só, e nada mais, sem acompanhamento, "
        "sem outros instrumentos, nenhum outro instrumento, e nenhum outro instrumento, sem nenhum outro instrumento, "
        "e pronto",
        "except": "exceto, salvo, fora, a não ser, além de, com exceção de, tirando, menos",
        "ensemble": "duo, dueto, trio, quarteto",
        "of": "de, do, da, no, na, ao, à, dos, das, tocada por, tocado por, tocados por, conduzida por, a cargo de, "
        "toca, faz, conduz, leva, canta, que toca, que faz, como, fazendo, tocando, em, por, para, pelo, pela, que "
        "leva, que conduz, interpretada por, tocadas por, a, o, os, as, levando, fica com, fica por conta de, é do, é "
        "da, são do, são da, fica a cargo do, fica a cargo da, puxa, assume, é tocada por, é conduzida por, está a "
        "cargo de, ficam com, leve, faça, toque",
        "vague": "instrumental, pouco, toque, bastante, pitada, pouquinho, como",
        "skip": "drum and bass, synth pop, synthpop, balada ao piano, balada de piano, beats, tom baixo, volume "
        "baixo, mais baixo, em baixo, embaixo, baixo astral, sem voz, sem vozes, sem vocais, sem canto, sem pressa, "
        "sem fim, sem parar, não muito, não tão, verso e refrão, estrofe e refrão, solo de, sem letra, batidas, "
        "batidas lofi, batidas por minuto, altos e baixos, fora de série, o mais baixo, de acordo, não mais de, não "
        "mais que, não menos de, por baixo",
    },
    strangers={
        "bagpipes": "gaita de foles",
        "banjo": "banjo",
        "mandolin": "bandolim, alaúde",
        "ukulele": "ukulele, ukulelê",
        "viola": "viola de arco, viola, viola caipira",
        "French horn": "trompa",
        "trombone": "trombone",
        "tuba": "tuba, bombardino, eufônio",
        "bassoon": "fagote",
        "bass clarinet": "clarinete baixo, clarone",
        "cor anglais": "corne inglês",
        "piccolo": "flautim, piccolo",
        "recorder": "flauta doce, pífano",
        "pan flute": "flauta de pã, ocarina, quena",
        "harmonica": "gaita, harmônica, gaita de boca, escaleta",
        "xylophone": "xilofone, balafon",
        "glockenspiel": "glockenspiel, carrilhão",
        "timpani": "tímpanos, tímpano",
        "sitar": "sitar, oud",
        "tabla": "tabla",
        "cavaquinho": "cavaquinho, guitarra portuguesa, cavaco",
        "congas": "conga, bongô, atabaque",
        "djembe": "djembê, cajón, zabumba, surdo, berimbau, cuíca",
        "shaker": "shaker, chocalho, maracas, pandeiro, castanholas, triângulo, agogô, ganzá, tamborim",
        "steel drums": "steel drum, steelpan",
        "theremin": "teremim, clavinete",
        "bandoneon": "bandoneon, concertina, harmônio",
        "gong": "gongo",
    },
)
