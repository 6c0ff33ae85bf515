"""Words of visitors: which of them are refused before a picture is painted or a card is printed."""
