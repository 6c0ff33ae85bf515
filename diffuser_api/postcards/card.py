"""What a postcard shows, and where. It is 15 x 10 cm, or the other way up. Lengths are in millimetres; boxes
are measured from the card's lower left corner, as in a PDF."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

LONG, SHORT = 150.0, 100.0
BLEED = 3.0  # printed beyond the card's edge, so that a cut that is a little off shows no paper
SLUG = 10.0  # paper around the card when there are crop marks
DPI = 300  # of what is printed
MM_OF_INCH = 25.4
MARGINS = {"trimmed": 0.0, "bleed": BLEED, "crop_marks": SLUG}
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
GREETING_LENGTH, MESSAGE_LENGTH, ADDRESS_LENGTH, ADDRESS_LINES = 60, 600, 50, 5


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.y + self.height

    @property
    def right(self) -> float:
        return self.x + self.width

    def shrunk(self, by: float) -> Box:
        return Box(self.x + by, self.y + by, self.width - 2 * by, self.height - 2 * by)


@dataclass(frozen=True)
class Fonts:
    """Names that ``fonts`` has registered."""

    text: str
    greeting: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """``head``: where the person's head is, in shares of the picture's width and height from its upper left
    corner. ``link`` becomes a QR code."""

    picture: Image.Image
    head: tuple[float, float] = (0.5, 0.4)
    fonts: Fonts
    portrait: bool = False
    full_bleed: bool = False
    edges: str = "trimmed"
    greeting: str = ""
    place: str = ""
    logo: Image.Image | None = None
    logo_corner: str = "bottom-right"
    message: str = ""
    address: tuple[str, ...] = ()
    stamp: bool = True
    link: str = ""
    label_look: str = ""  # of generation.marking.label; empty: somebody else labels the pictures
    note: str = ""  # the small print

    @property
    def trim(self) -> Box:
        return Box(0, 0, SHORT, LONG) if self.portrait else Box(0, 0, LONG, SHORT)

    @property
    def margin(self) -> float:
        """Of the sheet around the card."""
        return MARGINS[self.edges]

    @property
    def bleed(self) -> Box:
        """The largest part that is ever printed."""
        return self.trim.shrunk(-BLEED)
