"""What a visitor is told about a photo, in English and Italian: what is wrong and what to do."""

from __future__ import annotations

LANGUAGES = ("en", "it")
# Code: (English, Italian).
_SENTENCES = {
    "wrong_count": (
        "Send exactly five photos; {count} arrived.",
        "Invia esattamente cinque foto; ne sono arrivate {count}.",
    ),
    "empty": ("The file is empty; choose the photo again.", "Il file è vuoto; scegli di nuovo la foto."),
    "too_large": (
        "The file is larger than {limit} MB; send a smaller one.",
        "Il file supera i {limit} MB; inviane uno più piccolo.",
    ),
    "not_a_picture": (
        "The file is no JPEG, PNG, WebP or HEIC picture; send the photo in one of these.",
        "Il file non è un'immagine JPEG, PNG, WebP o HEIC; invia la foto in uno di questi formati.",
    ),
    "too_many_pixels": (
        "The photo has more than {limit} megapixels; send it smaller.",
        "La foto ha più di {limit} megapixel; inviala più piccola.",
    ),
    "too_small": (
        "The photo is {width} x {height} pixels; at least {limit} on each side.",
        "La foto è di {width} x {height} pixel; servono almeno {limit} per lato.",
    ),
    "animated": (
        "The picture is animated; send a still photo.",
        "L'immagine è animata; invia una foto ferma.",
    ),
    "broken": (
        "The picture is damaged or cut off; send the original file again.",
        "L'immagine è danneggiata o incompleta; invia di nuovo il file originale.",
    ),
    "too_heavy": (
        "The picture takes too much memory or time to open; save it as a plain JPEG and send that.",
        "L'immagine richiede troppa memoria o troppo tempo; salvala come semplice JPEG e invia quella.",
    ),
    "duplicate": (
        "This is the same picture as photo {twin}; send five different ones.",
        "È la stessa immagine della foto {twin}; inviane cinque diverse.",
    ),
    "no_face": (
        "No face can be seen; send a photo in which you look towards the camera.",
        "Non si vede alcun volto; invia una foto in cui guardi verso l'obiettivo.",
    ),
    "several_faces": (
        "There are {count} faces; send a photo in which you are alone, or crop the others away.",
        "Ci sono {count} volti; invia una foto in cui sei da solo, o ritaglia via gli altri.",
    ),
    "face_too_small": (
        "The face is only {width} pixels wide, at least {limit} are needed; come nearer or crop the photo.",
        "Il volto è largo solo {width} pixel, ne servono almeno {limit}; avvicinati o ritaglia la foto.",
    ),
    "face_cut_off": (
        "The face is cut off by the photo's edge; send one in which all of it can be seen.",
        "Il volto è tagliato dal bordo della foto; inviane una in cui si vede per intero.",
    ),
    "too_dark": (
        "The photo is too dark; take one with light on your face.",
        "La foto è troppo scura; scattane una con il volto in luce.",
    ),
    "too_bright": (
        "The face is overexposed; take a photo out of direct light or without flash.",
        "Il volto è sovraesposto; scatta una foto lontano dalla luce diretta o senza flash.",
    ),
    "blurred": (
        "The face is blurred; hold the camera still, focus on the face, and clean the lens.",
        "Il volto è sfocato; tieni ferma la fotocamera, metti a fuoco il volto e pulisci l'obiettivo.",
    ),
    "eyes_hidden": (
        "The eyes are covered; take off the sunglasses.",
        "Gli occhi sono coperti; togli gli occhiali da sole.",
    ),
    "another_person": (
        "This seems to be another person than in the other photos; all five must show the same one.",
        "Sembra un'altra persona rispetto alle altre foto; tutte e cinque devono mostrare la stessa.",
    ),
}
CODES = tuple(_SENTENCES)


def nearest(language: str) -> str:
    """Of LANGUAGES, that of a code like "it-CH"; English for others."""
    language = language.partition("-")[0]
    return language if language in LANGUAGES else LANGUAGES[0]


def sentence(code: str, language: str = "en", **values: int) -> str:
    return _SENTENCES[code][LANGUAGES.index(language)].format(**values)
