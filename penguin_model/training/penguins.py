"""The lab's recipe: three species of penguins by four measurements."""

from penguin_model.card import DEFAULT_MODEL
from penguin_model.training.recipe import Recipe

# The same columns in the same unit, as the published tables of these birds name them: R's
# palmerpenguins (and R 4.5's `penguins`), seaborn, Kaggle, the raw data of the field station, and
# the raw data as R's `read.csv` and janitor rename it.
_ALIASES = {
    "CulmenLength": (
        "bill_length_mm", "culmen_length_mm", "bill_len", "Culmen Length (mm)", "Bill Length (mm)",
        "Culmen.Length..mm.", "Culmen Length", "Bill Length", "culmen_length", "bill_length",
        "BillLength",
    ),
    "CulmenDepth": (
        "bill_depth_mm", "culmen_depth_mm", "bill_dep", "Culmen Depth (mm)", "Bill Depth (mm)",
        "Culmen.Depth..mm.", "Culmen Depth", "Bill Depth", "culmen_depth", "bill_depth",
        "BillDepth",
    ),
    "FlipperLength": (
        "flipper_length_mm", "flipper_len", "Flipper Length (mm)", "Flipper.Length..mm.",
        "Flipper Length", "flipper_length",
    ),
    "BodyMass": (
        "body_mass_g", "body_mass", "Body Mass (g)", "Body.Mass..g.", "Body Mass",
    ),
}  # fmt: skip
_CLASS_ALIASES = {
    "Adelie": (
        "Adélie", "Adelie Penguin", "Adélie Penguin", "Adelie Penguin (Pygoscelis adeliae)",
        "Adélie Penguin (Pygoscelis adeliae)", "Pygoscelis adeliae", "P. adeliae",
    ),
    "Gentoo": (
        "Gentoo penguin", "Gentoo penguin (Pygoscelis papua)", "Pygoscelis papua", "P. papua",
    ),
    "Chinstrap": (
        "Chinstrap penguin", "Chinstrap penguin (Pygoscelis antarctica)",
        "Chinstrap penguin (Pygoscelis antarcticus)", "Pygoscelis antarctica",
        "Pygoscelis antarcticus", "P. antarctica", "P. antarcticus",
    ),
}  # fmt: skip
_CITATION = (
    "Gorman KB, Williams TD, Fraser WR (2014) Ecological sexual dimorphism and environmental "
    "variability within a community of Antarctic penguins (genus Pygoscelis). PLoS ONE 9(3): "
    "e90081; by way of Horst AM, Hill AP, Gorman KB (2020) palmerpenguins; CC0"
)
_INTENDED_USE = (
    "Names the species of adult Adelie, Gentoo and Chinstrap penguins from four measurements of a "
    "bird, row by row for whole files, with a probability for each species."
)
_LIMITS = (
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

LAB = Recipe(
    label="Species",
    features=("CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass"),
    classes=("Adelie", "Gentoo", "Chinstrap"),
    prediction_column="species",
    units={"CulmenLength": "mm", "CulmenDepth": "mm", "FlipperLength": "mm", "BodyMass": "g"},
    # So that all four inputs are between about 13 and 63.
    scales={"CulmenLength": 1.0, "CulmenDepth": 1.0, "FlipperLength": 10.0, "BodyMass": 100.0},
    aliases=_ALIASES,
    label_aliases=("species_name", "Species Name"),
    class_aliases=_CLASS_ALIASES,
    scale="none",
    stratified=False,
    doublings=2,
    things="birds",
    kind="species",
    # The seed lab's new bird.
    new_row=(50.4, 15.3, 200.0, 5000.0),
    model=DEFAULT_MODEL,
    citation=_CITATION,
    data_license="CC0-1.0",
    intended_use=_INTENDED_USE,
    license="Apache-2.0",
    limits=_LIMITS,
)
