"""What the classifier is for, and what it isn't for: the parts of its card that people write."""

LICENSE = "Apache-2.0"
INTENDED_USE = (
    "Names the species of adult Adelie, Gentoo and Chinstrap penguins from four measurements of a "
    "bird, row by row for whole files, with a probability for each species."
)
LIMITS = (
    "It knows three species: a bird of any other gets one of their names, often with a high "
    "probability.",
    "It was trained on 239 adult birds that nested on three islands of the Palmer Archipelago "
    "from 2007 to 2009; chicks and other colonies may differ in size.",
    "Its mistakes are between Adelies and Chinstraps, which only the culmen tells apart.",
    "It trusts the measurements: lengths in mm and masses in g, of the same bird.",
    "So few birds say little about rare mistakes: none among 103 is still likely, at one time in "
    "20, with an error rate of 2.8%.",
    "Its probabilities are right on average at best; don't decide about a single bird by them "
    "alone.",
)
