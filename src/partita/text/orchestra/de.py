"""German names of instruments and parts, and the words that say who plays and who does not (see `vocabulary`)."""

from __future__ import annotations

from partita.text.orchestra.vocabulary import Vocabulary, plural_german

GERMAN = Vocabulary(
    language="de",
    plurals=plural_german,
    names={
        "piano": "Klavier, Flügel | Konzertflügel | Piano, Akustikklavier",
        "electric piano": "E-Piano, Rhodes | Rhodes-Piano | Wurlitzer, elektrisches Klavier, elektrisches Piano",
        "FM piano": "FM-Piano, Digitalpiano | 80er-E-Piano | digitales Piano",
        "harpsichord": "Cembalo | Spinett | Kielflügel",
        "celesta": "Celesta | | Celeste",
        "music box": "Spieluhr | Spieldose",
        "vibraphone": "Vibraphon, Vibraphone | Vibrafon",
        "marimba": "Marimba | Marimbafon | Marimbaphon",
        "organ": "Orgel, Hammondorgel | Hammond | E-Orgel, elektrische Orgel, Hammond-Orgel",
        "church organ": "Kirchenorgel, Pfeifenorgel | Domorgel",
        "accordion": "Akkordeon | Ziehharmonika | Quetschkommode, Schifferklavier",
        "nylon guitar": "Konzertgitarre, klassische Gitarre | Nylongitarre | spanische Gitarre, Flamencogitarre, "
        "klassischer Gitarre, spanischer Gitarre",
        "acoustic guitar": "Akustikgitarre, Westerngitarre | Folkgitarre | akustische Gitarre, akustischer Gitarre, "
        "Stahlsaitengitarre",
        "jazz guitar": "Jazzgitarre | Archtop-Gitarre | Halbresonanzgitarre",
        "clean guitar": "Clean-Gitarre, cleane Gitarre | unverzerrte Gitarre | cleane E-Gitarre, cleaner Gitarre, "
        "unverzerrter Gitarre, cleaner E-Gitarre",
        "muted guitar": "Palm-Mute-Gitarre, abgedämpfte Gitarre | gedämpfte Gitarre | gedämpfter Gitarre, "
        "abgedämpfter Gitarre",
        "distorted guitar": "verzerrte Gitarre, verzerrte E-Gitarre | Gitarre mit Verzerrung | verzerrter Gitarre, "
        "verzerrter E-Gitarre, harte Gitarre, Metal-Gitarre, harter Gitarre, Rockgitarre, schwere Gitarre",
        "acoustic bass": "Kontrabass, akustischer Bass | gezupfter Kontrabass | Standbass, akustischem Bass, Walking "
        "Bass, gezupftem Kontrabass",
        "electric bass": "E-Bass, Bassgitarre | Fingerbass | elektrischer Bass, elektrischem Bass, Elektrobass",
        "picked bass": "Plektrumbass, Plektrum-Bass | Bass mit Plektrum",
        "fretless bass": "Fretless-Bass, bundloser Bass | Fretless | bundlosem Bass",
        "slap bass": "Slap-Bass | geslappter Bass | Slapbass, geslapptem Bass",
        "synth bass": "Synth-Bass, Synthesizerbass | Analogbass | Synthbass, analoger Bass, Bass-Synthesizer, "
        "Moog-Bass",
        "sub bass": "Subbass, 808-Bass | Sub | Sub-Bass",
        "violin": "Geige, Violine | Fiedel | Fiddle",
        "cello": "Cello | Violoncello",
        "contrabass": "gestrichener Kontrabass, Orchesterbass | Streichbass | gestrichenem Kontrabass",
        "pizzicato strings": "Pizzicato-Streicher, gezupfte Streicher | Pizzicato | Pizzicatostreicher, gezupften "
        "Streichern, Streicherpizzicato",
        "harp": "Harfe | Konzertharfe",
        "strings": "Streicher, Streichergruppe | Streichensemble | Orchester, Streichorchester, Streichquartett, "
        "Sinfonieorchester, Geigen",
        "slow strings": "sanfte Streicher, langsame Streicher | weiche Streicher | sanften Streichern, langsamen "
        "Streichern, weichen Streichern",
        "synth strings": "Synth-Streicher, Streichersynthesizer | String-Machine | Synthstreicher, Stringmachine, "
        "synthetische Streicher",
        "choir": "Chor, Chorgesang | Chorstimmen | Chöre, Stimmen, Chorfläche, Chor-Pad",
        "trumpet": "Trompete | Flügelhorn | Kornett",
        "muted trumpet": "gedämpfte Trompete, Trompete mit Dämpfer | gestopfte Trompete | gedämpfter Trompete, "
        "gestopfter Trompete",
        "brass section": "Bläsersatz, Blechbläser | Bläser | Bläsergruppe, Blech, Blechbläsersatz, Trompeten",
        "saxophone": "Saxophon, Saxofon | Tenorsaxophon | Sax, Tenorsax, Altsaxophon, Altsax, Tenorsaxofon",
        "clarinet": "Klarinette | B-Klarinette",
        "oboe": "Oboe | Barockoboe",
        "flute": "Querflöte, Flöte | Konzertflöte | Querfloete, Floete",
        "square lead": "Rechteck-Lead, Chiptune-Lead | Rechteck-Synth | Rechteckwelle, Rechteck-Synthesizer, "
        "Square-Lead",
        "saw lead": "Sägezahn-Lead, Sägezahn-Synth | Saw-Lead | Sägezahn-Synthesizer, Sägezahn",
        "fantasia": "Fantasia-Pad, Glocken-Pad | New-Age-Pad | Fantasia, Glockenfläche",
        "warm pad": "warmes Pad, Warm-Pad | weiches Pad | warmem Pad, weichem Pad, warme Fläche, warmer Fläche, "
        "Analogpad",
        "polysynth": "Polysynth, Poly-Synth | polyphoner Synthesizer | Synthakkorde, Synth-Akkorde, polyphonem "
        "Synthesizer",
        "space voice": "ätherische Stimmen, luftiges Pad | Space-Voice | ätherischen Stimmen, luftigem Pad",
        "halo pad": "schimmerndes Pad, Halo-Pad | glitzerndes Pad | schimmerndem Pad, glitzerndem Pad",
        "sweep pad": "Sweep-Pad, sich wandelndes Pad | atmosphärisches Pad | atmosphärischem Pad, sich wandelndem Pad",
        "kalimba": "Kalimba | Daumenklavier | Mbira",
        "standard kit": "akustisches Schlagzeug, Akustikschlagzeug | | akustischem Schlagzeug, Standardschlagzeug",
        "room kit": "Live-Schlagzeug, Live-Drums | räumliches Schlagzeug | räumlichem Schlagzeug, Raum-Schlagzeug",
        "power kit": "Rockschlagzeug, Rock-Drums | wuchtiges Schlagzeug | wuchtigem Schlagzeug, großes Schlagzeug, "
        "Rock-Schlagzeug, Metal-Schlagzeug, Metal-Drums",
        "electronic kit": "Drumcomputer, elektronisches Schlagzeug | programmierte Drums | elektronischem Schlagzeug, "
        "E-Drums, Drummachine, Drum-Machine, elektronische Drums, programmierten Drums, elektronischen Drums",
        "808 kit": "808-Drums, 808-Beat | TR-808 | 808, Trap-Drums, 808-Schlagzeug",
        "jazz kit": "Jazzschlagzeug, Jazz-Drums | Swing-Schlagzeug | Jazz-Schlagzeug",
        "brush kit": "Besenschlagzeug, Jazzbesen | Schlagzeug mit Besen | Besen, Brushes",
        "guitar": "Gitarre | Klampfe",
        "electric guitar": "E-Gitarre, elektrische Gitarre | Stromgitarre | Elektrogitarre, elektrischer Gitarre",
        "synth": "Synthesizer, Synth | Synthie | Analogsynthesizer, Analogsynth",
        "synth lead": "Synth-Lead, Lead-Synth | Synthesizer-Lead | Leadsynth, Solosynth, Synthlead",
        "synth pad": "Synth-Pad, Synthesizerfläche | Synthfläche | Synthpad, Synth-Fläche, Synthie-Fläche, "
        "Flächensynth",
        "keyboard": "Keyboard | | Tasteninstrumente",
        "drum kit": "Drumkit, Drumset | Schlagzeugset | Drum-Set, Drum-Kit",
        "woodwinds": "Holzbläser | Holzblasinstrumente | Blasinstrumente, Holzbläsern",
        "bells": "Glocken | Glöckchen | Glocke",
        "mallets": "Stabspiele, Mallets | Schlägelinstrumente | Stabspielen",
        "drum part": "| | Bassdrum, Kickdrum, Kick, Snare, Hi-Hat, Hihat, Becken, große Trommel, kleine Trommel",
    },
    roles={
        "drums": "Schlagzeug, Drums, Drum, Percussion, Perkussion, Trommel, Trommeln, Beat, Schlagwerk",
        "bass": "Bass, Basslinie, Bassline, Basslauf, Bassläufe",
        "chords": "Akkord, Akkorde, Akkorden",
        "pad": "Pad, Fläche, Klangteppich, Flächensound, Klangfläche",
        "arp": "Arpeggio, Arpeggien, Arpeggios, Arpeggiator, Arp, arpeggiert, arpeggierte, arpeggiertes, gebrochene "
        "Akkorde",
        "lead": "Melodie, Hauptmelodie, Lead, Melodiestimme, Melodieinstrument, Soloinstrument, Leadstimme, "
        "Hauptstimme, Solostimme, Melodielinie, Leadinstrument, Oberstimme, Führungsstimme",
        "backing": "Begleitung, im Hintergrund, dahinter, als Begleitung, Begleitinstrument, darunter",
        "rhythm section": "Rhythmusgruppe, Rhythmussektion",
    },
    words={
        "no": "kein, keine, keinen, keinem, keiner, keinerlei, nix, bitte kein, bitte keine, lass weg, verzichte auf, "
        "verzichtet auf, auf keinen fall, no, null",
        "without": "ohne, statt, anstatt, anstelle von, ausgenommen, frei von, anstelle, unter verzicht auf",
        "free": "los, frei, weglassen, weg, lose, loses, loser, losen, freies, freie",
        "and": "und, sowie, plus, dazu, nebst, samt",
        "neither": "weder, noch",
        "or": "oder, noch",
        "but": "aber, mit, sondern, jedoch, dafür, nicht ohne, allerdings, stattdessen",
        "only": "nur, bloß, lediglich, ausschließlich, nichts als, nichts außer, allein, einzig, keine instrumente "
        "außer, kein instrument außer, sonst nichts als",
        "not only": "nicht nur, nicht bloß",
        "solo": "solo",
        "alone": "allein, alleine, sonst nichts, und sonst nichts, solo, unbegleitet, ohne begleitung, ohne weitere "
        "instrumente, keine weiteren instrumente, ohne andere instrumente, keine anderen instrumente, und nichts "
        "weiter, und fertig, pur, und nichts anderes",
        "except": "außer, bis auf, abgesehen von, ausgenommen",
        "ensemble": "Duo, Duett, Trio, Quartett",
        "of": "von, auf, durch, der, des, auf der, auf dem, von der, vom, gespielt von, gespielt auf, spielt, "
        "spielen, trägt, tragen, übernimmt, als, mit der, mit, für, singt, führt, die, das, den, einer, eines, auf "
        "einer, auf einem, von einer, von einem, getragen von, bringt, liefert, macht, machen, gibt, zuständig für, "
        "liegt auf, liegt bei, kommt von, kommen von, am, an der, wird gespielt von, wird getragen von",
        "vague": "instrumental, wenig, hauch, bisschen, spur, etwas, so",
        "skip": "drum and bass, Synthpop, Synth-Pop, Klavierballade, Schläge, Beats, weich und warm, Beckenrand, ohne "
        "Gesang, kein Gesang, ohne Stimme, ohne Worte, ohne Eile, ohne Hast, ohne Ende, ohne Pause, Bassdrum-Musik, "
        "vom Flügel, lofi beats, ohne Text, nicht zu, solo für, Strophe und Refrain, im Takt, ohne Vocals, keine "
        "Vocals, 80er-Synth, kein bisschen",
    },
    strangers={
        "bagpipes": "Dudelsack, Sackpfeife",
        "banjo": "Banjo",
        "mandolin": "Mandoline, Laute",
        "ukulele": "Ukulele",
        "viola": "Bratsche, Viola",
        "French horn": "Waldhorn, Horn, Hörner",
        "trombone": "Posaune",
        "tuba": "Tuba, Euphonium",
        "bassoon": "Fagott",
        "bass clarinet": "Bassklarinette",
        "cor anglais": "Englischhorn",
        "piccolo": "Piccoloflöte, Pikkoloflöte, Piccolo",
        "recorder": "Blockflöte",
        "pan flute": "Panflöte, Okarina, Bambusflöte",
        "harmonica": "Mundharmonika, Melodica",
        "xylophone": "Xylophon, Xylofon",
        "glockenspiel": "Glockenspiel, Röhrenglocken",
        "timpani": "Pauke",
        "sitar": "Sitar, Oud, Bouzouki",
        "tabla": "Tabla",
        "zither": "Zither, Hackbrett, Drehleier, Leier",
        "congas": "Conga, Bongo",
        "djembe": "Djembe, Cajon, Cajón",
        "shaker": "Shaker, Rassel, Maracas, Tamburin, Schellenkranz, Kastagnetten, Triangel, Kuhglocke",
        "steel drums": "Steeldrum, Steelpan",
        "theremin": "Theremin, Clavinet",
        "bandoneon": "Bandoneon, Konzertina, Harmonium",
        "gong": "Gong",
    },
)
