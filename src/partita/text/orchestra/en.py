"""English names of instruments and parts, and the words that say who plays and who does not (see `vocabulary`)."""

from __future__ import annotations

from partita.text.orchestra.vocabulary import Vocabulary, plural_s

ENGLISH = Vocabulary(
    language="en",
    plurals=plural_s,
    names={
        "piano": "piano, grand piano, acoustic piano | concert grand, baby grand | upright piano, pianoforte, keys",
        "electric piano": "electric piano, rhodes, electric keys | wurlitzer | rhodes piano, fender rhodes",
        "FM piano": "FM piano, 80s electric piano | DX7 piano | fm electric piano, dx piano, digital piano",
        "harpsichord": "harpsichord | clavecin | cembalo",
        "celesta": "celesta, celeste | | bell keys",
        "music box": "music box, musical box | wind-up music box | toy box melody",
        "vibraphone": "vibraphone, vibes | vibraharp",
        "marimba": "marimba | wooden marimba",
        "organ": "organ, hammond organ, electric organ | B3 organ | drawbar organ, hammond, hammond b3, b3",
        "church organ": "church organ, pipe organ | cathedral organ",
        "accordion": "accordion, squeezebox | button accordion | accordeon, piano accordion, musette accordion",
        "nylon guitar": "nylon guitar, classical guitar, spanish guitar | nylon-string guitar | flamenco guitar",
        "acoustic guitar": "acoustic guitar, steel-string guitar, strummed guitar | folk guitar | steel guitar, "
        "western guitar, 12 string guitar, twelve string guitar",
        "jazz guitar": "jazz guitar, archtop guitar | hollow-body guitar",
        "clean guitar": "clean guitar, clean electric guitar | jangly guitar | chorus guitar",
        "muted guitar": "muted guitar, palm-muted guitar | | muted electric guitar",
        "distorted guitar": "distorted guitar, heavy guitar | overdriven guitar, fuzz guitar | distortion guitar, "
        "crunchy guitar, metal guitar, rock guitar, distorted electric guitar, heavy electric guitar",
        "acoustic bass": "acoustic bass, upright bass, double bass | stand-up bass | walking bass",
        "electric bass": "electric bass, bass guitar | electric bass guitar | fingered bass, finger bass",
        "picked bass": "picked bass | plectrum bass | pick bass",
        "fretless bass": "fretless bass | fretless | smooth fretless bass",
        "slap bass": "slap bass, funky slap bass | slapped bass | slapping bass",
        "synth bass": "synth bass, bass synth | analogue bass, moog bass | analog bass, synthesizer bass, acid bass",
        "sub bass": "sub bass, 808 bass | sub | deep synth bass, sub 808, 808s",
        "violin": "violin | fiddle",
        "cello": "cello | violoncello",
        "contrabass": "contrabass, bowed bass | orchestral bass | bowed double bass, arco bass",
        "pizzicato strings": "pizzicato strings, plucked strings | pizzicato | pizz strings, string pizzicato",
        "harp": "harp | concert harp",
        "strings": "strings, string section | string ensemble | string, orchestra, string orchestra, orchestral "
        "strings, string quartet, violins, symphony orchestra",
        "slow strings": "slow strings, soft strings, lush strings | sweeping strings | legato strings",
        "synth strings": "synth strings, string machine | string synth | synthesizer strings, synthetic strings",
        "choir": "choir, vocal pad | choral pad | choir pad, voices, choirs, chorus of voices",
        "trumpet": "trumpet | horn | flugelhorn, cornet",
        "muted trumpet": "muted trumpet | harmon mute trumpet | trumpet with mute",
        "brass section": "brass section, brass | horn section | horns, brass stabs, trumpets",
        "saxophone": "saxophone, sax, tenor sax | tenor saxophone | alto sax, alto saxophone, soprano sax, baritone "
        "sax, baritone saxophone, soprano saxophone",
        "clarinet": "clarinet | B flat clarinet",
        "oboe": "oboe | hautboy",
        "flute": "flute | transverse flute | concert flute",
        "square lead": "square lead, chiptune lead | pulse wave synth | square wave synth, square synth, square wave, "
        "square waves, chip lead, pulse wave, 8 bit lead",
        "saw lead": "saw lead, saw synth | sawtooth lead | saw wave synth, sawtooth synth, supersaw",
        "fantasia": "fantasia, bell pad | new age pad",
        "warm pad": "warm pad, soft pad | mellow pad | analog pad, analogue pad",
        "polysynth": "polysynth, poly synth | polyphonic synth | synth chords",
        "space voice": "space voice, airy pad | ethereal voices | airy voices",
        "halo pad": "halo pad, shimmering pad | shimmer pad",
        "sweep pad": "sweep pad, evolving pad | sweeping pad | atmospheric pad",
        "kalimba": "kalimba, thumb piano | mbira",
        "standard kit": "standard kit, acoustic drums | | acoustic kit, standard drums",
        "room kit": "room kit, live drums | roomy drums | room drums",
        "power kit": "power kit, big drums, rock drums | arena drums | metal drums, power drums, rock kit",
        "electronic kit": "electronic kit, electronic drums, drum machine | programmed drums | electronic drum kit, "
        "synth drums, techno drums",
        "808 kit": "808 kit, 808 drums, 808 beat | TR-808 | trap drums, tr 808 drums, 808 drum machine",
        "jazz kit": "jazz kit, jazz drums | swing drums | swinging drums",
        "brush kit": "brush kit, brushes, brushed drums | brushwork | drums with brushes, brush drums",
        "guitar": "guitar | six-string",
        "electric guitar": "electric guitar | electric six-string | lead guitar amp",
        "synth": "synth, synthesizer | synthesiser | analog synth, analogue synth, modular synth, moog",
        "synth lead": "synth lead | lead synth | synthesizer lead, lead synthesizer",
        "synth pad": "synth pad | pad synth | synthesizer pad, ambient pad",
        "keyboard": "keyboard | | keyboards",
        "drum kit": "drum kit | drum set | acoustic drum kit, trap set",
        "woodwinds": "woodwinds | woodwind | wind instruments, winds",
        "bells": "bells | | chimes, bell sounds",
        "mallets": "mallets | mallet percussion | mallet instruments",
        "drum part": "| | bass drum, kick drum, kick, snare, snare drum, hi hat, hihat, hat, cymbal, rimshot, ride "
        "cymbal, tom tom",
    },
    roles={
        "drums": "drum, percussion, beat, drumming, drumbeat, drum beat, drum groove, drum loop, breakbeat, percussive",
        "bass": "bass, bassline, bass line, low end bass",
        "chords": "chord, comping, chordal",
        "pad": "pad, padding",
        "arp": "arpeggio, arp, arpeggiated, arpeggiator, arpeggiation, broken chord",
        "lead": "melody, lead, lead melody, the tune, main tune, topline, lead line, lead part, lead voice, melodic "
        "line, main melody, lead instrument, main theme, theme melody, solo line, melodic lead, hook melody",
        "backing": "accompaniment, backing, in the background, in background, underneath, background, behind it, bed",
        "rhythm section": "rhythm section, rhythm group",
    },
    words={
        "no": "no, not any, don t want, do not want, don t use, do not use, don t add, do not add, don t include, do "
        "not include, leave out, skip, zero, hold the, there s no, never any, remove, drop the, not a, cut the, "
        "absolutely no, hates",
        "without": "without, w o, minus, excluding, free of, lacking, devoid of, instead of, rather than, sans, "
        "without any, in place of, omitting, leaving out",
        "free": "free, absent",
        "and": "and, plus, n, as well as, along with, together with, then, alongside",
        "neither": "neither, nor",
        "or": "or, nor",
        "but": "but, with, featuring, feat, however, though, while, instead, built on, built around, over, add, not "
        "without, never without, starring",
        "only": "only, just, solely, exclusively, nothing but, nothing except, nothing other than, no more than, none "
        "but, no instruments but, no instruments except, no instrument but, no instrument except, no instruments "
        "other than, nobody but, unaccompanied, no one but",
        "not only": "not only, not just, not solely",
        "solo": "solo",
        "alone": "alone, by itself, on its own, and nothing else, nothing else, no other instrument, and nobody else, "
        "and no other instruments, no accompaniment, unaccompanied, and that s it, and that is all, and that s all, "
        "no other instruments, without other instruments, without any other instruments, and no more",
        "except": "except, except for, other than, apart from, aside from, save for, but for, besides, bar the",
        "ensemble": "duo, duet, trio, quartet",
        "of": "of, by, on, from, for, played by, played on, carried by, led by, sung by, taken by, plays, play, "
        "playing, carries, carry, carrying, takes, taking, leads, leading, handles, sings, singing, as, doing, does, "
        "is, comes from, performed by, provides, providing, given to, holds, holding, to play, is played by, is "
        "carried by, is on, are played by, over to",
        "vague": "instrumental, like, enough, touch, hint, bit, little, right, about, listen, slightly, dash, splash",
        "skip": "drum and bass, drum n bass, drum bass, dnb, synth pop, synthpop, synth wave, no nonsense, no frills, "
        "no fuss, no one, no longer, no matter, no doubt, no wave, beats per minute, beat per minute, beats a minute, "
        "beats to relax, upbeat, up beat, off beat, down beat, downbeat, offbeat, backbeat, piano forte, lead me, "
        "lead us, lead you, lead the way, lead to, key of, major keys, minor keys, no limits, no rush, no hurry, no "
        "big deal, steel drum, steel drums, beat per, beat of my heart, heart beat, heartbeat, bass clef, pop song "
        "tune, in tune, out of tune, four beats, three beats, two beats, just right, just like, just a bit, just a "
        "touch of, just a hint of, just a little, pianissimo, hip hop beats, lofi beats, lo fi beats, rap beats, rap "
        "beat, hip hop beat, beats, chill beats, beat driven, bass heavy music, sax appeal, the only, no one else, "
        "only the best, bone dry, key signature, organ donor, string of, keys to, car keys, theme song, piano ballad, "
        "piano rock, piano house, piano pop, guitar hero, guitar pop, brass knuckles, horn of plenty, harp on, brass "
        "monkey, hard hitting beat, boom bap beat, double time, the band, free tempo, no tempo, trip hop beat, no "
        "vocals, without vocals, no singing, without singing, no voice, no lyrics, vocal free",
    },
    strangers={
        "bagpipes": "bagpipes, bagpipe, uilleann pipes, great highland pipes",
        "banjo": "banjo, banjolele",
        "mandolin": "mandolin, mandola",
        "ukulele": "ukulele, uke",
        "viola": "viola",
        "French horn": "french horn",
        "trombone": "trombone, bass trombone",
        "tuba": "tuba, sousaphone, euphonium",
        "bassoon": "bassoon, contrabassoon",
        "bass clarinet": "bass clarinet",
        "cor anglais": "cor anglais, english horn",
        "piccolo": "piccolo",
        "recorder": "recorder, tin whistle, penny whistle, whistle",
        "pan flute": "pan flute, panpipes, pan pipes, quena, ocarina, shakuhachi, bamboo flute",
        "harmonica": "harmonica, mouth organ, blues harp, melodica",
        "xylophone": "xylophone",
        "glockenspiel": "glockenspiel, tubular bells, carillon",
        "timpani": "timpani, kettledrums, tympani",
        "sitar": "sitar, tanpura, sarod",
        "tabla": "tabla",
        "oud": "oud, saz, bouzouki, balalaika, lute, zither, dulcimer, hurdy-gurdy, lyre",
        "koto": "koto, shamisen, guzheng, erhu, pipa",
        "congas": "conga, bongo, timbales",
        "djembe": "djembe, cajon, taiko, surdo, darbuka",
        "shaker": "shaker, maracas, tambourine, castanets, cowbell, guiro, cabasa, woodblock, triangle",
        "steel drums": "steelpan, handpan, hang drum",
        "theremin": "theremin, mellotron, clavinet, vocoder, didgeridoo, kazoo",
        "bandoneon": "bandoneon, concertina, harmonium",
        "lap steel": "pedal steel, lap steel, pedal steel guitar, slide guitar, dobro",
        "turntables": "turntable, scratching",
        "gong": "gong",
    },
)
