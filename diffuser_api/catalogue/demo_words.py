"""The names and descriptions of the demo's catalogue in Italian."""

ITALIAN = {
    "beach at noon": "spiaggia a mezzogiorno",
    "beach at dusk": "spiaggia al tramonto",
    "square in the sun": "piazza al sole",
    "cloudy square": "piazza sotto le nuvole",
    "lake in the sun": "lago al sole",
    "lake at dusk": "lago al tramonto",
    "harbour in the sun": "porto al sole",
    "cloudy harbour": "porto sotto le nuvole",
    "vineyard": "vigneto",
    "vineyard at dusk": "vigneto al tramonto",
    "sunny beach with a palm tree by the sea": "spiaggia al sole con una palma in riva al mare",
    "sunset beach with a palm tree by the sea": "spiaggia al tramonto con una palma in riva al mare",
    "sunny town square with a church and tower": "piazza al sole con una chiesa e un campanile",
    "cloudy town square with a church and tower": "piazza sotto le nuvole con una chiesa e un campanile",
    "sunny lake with snowy mountains and fir trees": "lago al sole con monti innevati e abeti",
    "sunset lake with snowy mountains and fir trees": "lago al tramonto con monti innevati e abeti",
    "sunny harbour with a lighthouse and a boat": "porto al sole con un faro e una barca",
    "cloudy harbour with a lighthouse and a boat": "porto sotto le nuvole con un faro e una barca",
    "sunny vineyard hills with a farm house": "colline di vigne al sole con una cascina",
    "sunset vineyard hills with a farm house": "colline di vigne al tramonto con una cascina",
    "standing": "in piedi",
    "waving": "fare ciao",
    "arms wide": "braccia aperte",
    "hands on hips": "mani sui fianchi",
    "jumping": "saltare",
    "sitting": "seduti per terra",
    "pointing": "indicare",
    "running": "correre",
    "standing with arms down": "in piedi, con le braccia lungo il corpo",
    "waving with one hand raised": "fare ciao agitando una mano alzata",
    "standing with arms spread wide": "in piedi, con le braccia spalancate",
    "standing with hands on hips": "in piedi, con le mani sui fianchi",
    "jumping in the air with arms raised": "saltare in aria con le braccia alzate",
    "sitting cross-legged on the ground": "seduti per terra a gambe incrociate",
    "pointing to the side with one arm": "indicare di lato con un braccio",
    "running with bent arms": "correre con le braccia piegate",
}


def translations(**texts: str) -> dict[str, dict[str, str]]:
    """For the field ``translations`` of a row with these texts. Proper names have none."""
    italian = {field: ITALIAN[text] for field, text in texts.items() if text in ITALIAN}
    return {"it": italian} if italian else {}
