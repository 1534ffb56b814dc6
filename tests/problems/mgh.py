"""The 35 Moré-Garbow-Hillstrom problems, each from its standard start, ten times and a hundred times that.

J. J. Moré, B. S. Garbow, K. E. Hillstrom: Testing Unconstrained Optimization Software, ACM Transactions on
Mathematical Software 7 (1981) 17-41. The paper gives minima of the sum of squares to six digits; those below
are half of that, recomputed to twelve, and agree with it, save that Chebyquad with n = 10 has a lower minimum
than the one listed there. Infima approached only at infinity and further local minima where solvers are seen
to end are listed as other minima. Watson's standard start is the origin, so it has no multiples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import mgh_functions as functions
from .case import Case, make_case

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike


def _family(
    function: str,
    x0: ArrayLike,
    minimum: float = 0.0,
    solutions: Iterable[ArrayLike] = (),
    *,
    label: str | None = None,
    other_minima: Iterable[float] = (),
    multiples: Iterable[int] = (1, 10, 100),
    digits: int = 12,
    tags: Iterable[str] = (),
) -> list[Case]:
    """Return the case from each multiple of the standard start."""
    label = label or function
    found = [*tags, "zero-residual"] if minimum == 0 else [*tags]
    cases = []
    for multiple in multiples:
        name = f"mgh-{label}-x{multiple}"
        cases.append(
            make_case(
                name,
                getattr(functions, function),
                getattr(functions, f"{function}_jacobian"),
                multiple * np.asarray(x0, dtype=float),
                minimum,
                solutions,
                other_minima=other_minima,
                digits=digits,
                tags=["mgh", f"x{multiple}", *found],
            )
        )
    return cases


_GRID = np.arange(1, 11) / 11
_TWO_POINT = _GRID * (_GRID - 1)  # start of the two discretised equations
_M = functions.LINEAR_M

CASES: tuple[Case, ...] = tuple(
    case
    for family in (
        _family("rosenbrock", [-1.2, 1], 0, [[1, 1]]),
        _family(
            "freudenstein_roth",
            [0.5, -2],
            0,
            [[5, 4]],
            other_minima=[24.49212683962],
            tags=["singular-local"],
        ),
        _family("powell_badly_scaled", [0, 1], 0, [[1.0981593296997557e-5, 9.106146739867036]]),
        _family("brown_badly_scaled", [1, 1], 0, [[1e6, 2e-6]]),
        _family("beale", [1, 1], 0, [[3, 0.5]], other_minima=[0.226004464285714]),
        _family(
            "jennrich_sampson",
            [0.3, 0.4],
            62.18109117780742,
            [[0.2578252136703641, 0.2578252136703641]],
            other_minima=[129.790095067, 1010],  # one exponential lost at infinity, both lost
            multiples=[1, 10],  # 100 times the start overflows
            tags=["rank-deficient"],
        ),
        _family("helical_valley", [-1, 0, 0], 0, [[1, 0, 0]]),
        _family(
            "bard",
            [1, 1, 1],
            0.0041074386532894925,
            [[0.08241055974978902, 1.1330360920297229, 2.343695178642536]],
            other_minima=[8.71434666666667],
        ),
        _family("gaussian", [0.4, 1, 0], 5.63966384809608e-9, [[0.39895613783875666, 1.0000190844878056, 0]]),
        _family(
            "meyer",
            [0.02, 4000, 250],
            43.97292758534,
            [[0.005609636471027553, 6181.3463462864465, 345.223634624139]],
        ),
        _family(
            "gulf",
            [5, 2.5, 0.15],
            0,
            [[50, 25, 1.5]],
            other_minima=[16.4175],  # all exponentials underflow: flat, as is 100 times the start
        ),
        _family(
            "box_3d",
            [0, 10, 20],
            0,
            [[1, 10, 1], [10, 1, -1], [1, 1, 0]],
            other_minima=[0.0377943703775],
            tags=["rank-deficient"],
        ),
        _family(
            "extended_powell",
            [3, -1, 0, 1],
            0,
            [np.zeros(4)],
            label="powell_singular",
            tags=["rank-deficient"],
        ),
        _family("wood", [-3, -1, -3, -1], 0, [np.ones(4)]),
        _family(
            "kowalik_osborne",
            [0.25, 0.39, 0.415, 0.39],
            0.00015375280192461905,
            [[0.19280693457903791, 0.19128232873436626, 0.12305650692632056, 0.13606233068379453]],
            other_minima=[0.000211837313234917, 0.000513671524348, 0.000897269542],
        ),
        _family(
            "brown_dennis",
            [25, 5, -5, -1],
            42911.10081317817,
            [[-11.594439904762163, 13.203630051207202, -0.4034394881768596, 0.2367787744557363]],
        ),
        _family(
            "osborne_1",
            [0.5, 1.5, -1, 0.01, 0.02],
            2.732447348741373e-5,
            [
                [
                    *(0.3754100521069521, 1.9358469127123752, -1.464687136613431),
                    *(0.012867534640057306, 0.022122699661672584),
                ]
            ],
            other_minima=[0.576451454545455],  # the mean: both exponentials lost at infinity
        ),
        _family(
            "biggs_exp6",
            [1, 2, 1, 1, 1, 1],
            0,
            [[1, 10, 1, 5, 4, 3], [4, 10, 3, 5, 1, 1]],
            other_minima=[0.00282782496275, 0.153183386312],
        ),
        _family(
            "osborne_2",
            [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5],
            0.02006886814677389,
            [
                [
                    *(1.3099771546273005, 0.431553794602989, 0.6336616989607241, 0.5994305347859163),
                    *(0.7541832263280114, 0.9042885798596336, 1.3658118352370285, 4.823698817227156),
                    *(2.3986848661317546, 4.568874597667672, 5.6753414705806415),
                ]
            ],
            other_minima=[0.894906793440547],
        ),
        _family(
            "watson",
            np.zeros(6),
            0.001143835026776213,
            [
                [
                    *(-0.01572508640145843, 1.0124348693691099, -0.232991625956738),
                    *(1.260430087799609, -1.5137289227222805, 0.992996432431135),
                ]
            ],
            label="watson-6",
            multiples=[1],
        ),
        _family(
            "watson",
            np.zeros(9),
            6.9988006904e-7,
            [
                [
                    *(-1.530703652137668e-5, 0.9997897039319482, 0.014763963693564265),
                    *(0.14634232829929175, 1.000821103005016, -2.617731140519728),
                    *(4.104403164479772, -3.143612278557053, 1.0526264080103316),
                ]
            ],
            label="watson-9",
            multiples=[1],
            digits=10,
        ),
        _family(
            "watson",
            np.zeros(12),
            2.36119055e-10,
            [
                [
                    *(-6.6380604654506766e-9, 1.0000016441178619, -0.0005639322103373737),
                    *(0.3478205405039853, -0.15673150409615266, 1.0528151772095717),
                    *(-3.2472711534732177, 7.288434897973008, -10.271848241371096),
                    *(9.074113647114354, -4.541375466708532, 1.0120118885554121),
                ]
            ],
            label="watson-12",
            multiples=[1],
            digits=8,
        ),
        _family("extended_rosenbrock", [-1.2, 1] * 5, 0, [np.ones(10)]),
        _family("extended_powell", [3, -1, 0, 1] * 3, 0, [np.zeros(12)], tags=["rank-deficient"]),
        _family(
            "penalty_1",
            np.arange(1, 5),
            1.1249887504499e-5,
            [np.full(4, 0.250007499587538)],
            label="penalty_1-4",
        ),
        _family(
            "penalty_1",
            np.arange(1, 11),
            3.5438257335451845e-5,
            [np.full(10, 0.158122301113116)],
            label="penalty_1-10",
        ),
        _family(
            "penalty_2",
            np.full(4, 0.5),
            4.688146503677721e-6,
            [[0.1999993333503804, 0.1913167009927725, 0.4801014853326233, 0.5188454043903002]],
            label="penalty_2-4",
        ),
        _family(
            "penalty_2",
            np.full(10, 0.5),
            0.000146830268728373,
            [
                [
                    *(0.19998360519782363, 0.010350648471292304, 0.019604934480438405, 0.032089067220685656),
                    *(0.049932677399641294, 0.07651399515399361, 0.11862407286950416),
                    *(0.19214487233557667, 0.34732058694184353, 0.3691643741593508),
                ]
            ],
            label="penalty_2-10",
        ),
        _family("variably_dimensioned", 1 - np.arange(1, 11) / 10, 0, [np.ones(10)]),
        _family(
            "trigonometric",
            np.full(10, 0.1),
            0,
            [np.zeros(10)],
            other_minima=[1.39752806094e-5, 2.10931694396e-5, 0.000439411260911],
            tags=["singular-local"],
        ),
        _family("brown_almost_linear", np.full(10, 0.5), 0, [np.ones(10)], other_minima=[0.5]),
        _family(
            "discrete_boundary",
            _TWO_POINT,
            0,
            [
                [
                    *(-0.04316498251876487, -0.08157715653538687, -0.11448571438052928, -0.14097357686259668),
                    *(-0.1599086961819831, -0.16987720231277492, -0.16908998378120835),
                    *(-0.15524953522183182, -0.125355891678935, -0.07541653368589209),
                ]
            ],
        ),
        _family(
            "discrete_integral",
            _TWO_POINT,
            0,
            [
                [
                    *(-0.04316498251876487, -0.08157715653538687, -0.11448571438052928, -0.14097357686259668),
                    *(-0.1599086961819831, -0.16987720231277492, -0.16908998378120835),
                    *(-0.15524953522183182, -0.125355891678935, -0.07541653368589209),
                ]
            ],
        ),
        _family(
            "broyden_tridiagonal",
            -np.ones(10),
            0,
            [
                [
                    *(-0.5707221320112248, -0.6818069499842752, -0.7022100760176601, -0.7055106298950804),
                    *(-0.7049061557287437, -0.7014966070298512, -0.6918893223547983),
                    *(-0.6657965144058536, -0.5960351090263657, -0.4164122575286934),
                ]
            ],
        ),
        _family(
            "broyden_banded",
            -np.ones(10),
            0,
            [
                [
                    *(-0.4283028635872503, -0.47659642435629024, -0.5196524636468617, -0.5580993248321808),
                    *(-0.5925061568294574, -0.624503682199468, -0.6232394714405911),
                    *(-0.6213938417965735, -0.6204535966590874, -0.5864692707204351),
                ]
            ],
        ),
        _family("linear_full_rank", np.ones(5), (_M - 5) / 2, [-np.ones(5)]),
        _family(
            "linear_rank_1",
            np.ones(5),
            _M * (_M - 1) / (4 * (2 * _M + 1)),
            [[3 / (2 * _M + 1), 0, 0, 0, 0]],
            tags=["rank-deficient"],
        ),
        _family(
            "linear_rank_1_zeros",
            np.ones(5),
            (_M**2 + 3 * _M - 6) / (4 * (2 * _M - 3)),
            [[7, 1.5 / (2 * _M - 3), 0, 0, 7]],
            tags=["rank-deficient"],
        ),
        _family(
            "chebyquad",
            np.arange(1, 9) / 9,
            0.0017584368628389647,
            [
                [
                    *(0.04315276015101665, 0.19309084038418614, 0.26632870689027294, 0.5),
                    *(0.5, 0.7336712931097271, 0.8069091596158139, 0.9568472398489833),
                ]
            ],
            label="chebyquad-8",
            tags=["rank-deficient"],
        ),
        _family(
            "chebyquad",
            np.arange(1, 10) / 10,
            0,
            [
                [
                    *(
                        0.04420534613578274,
                        0.23561910847106002,
                        0.19949067230988093,
                        0.41604690789259796,
                        0.5,
                    ),
                    *(0.5839530921074019, 0.800509327690119, 0.7643808915289401, 0.9557946538642172),
                ]
            ],
            label="chebyquad-9",
        ),
        _family(
            "chebyquad",
            np.arange(1, 11) / 11,
            0.0023863568481876755,
            [
                [
                    *(0.0329933730180744, 0.1551453577590733, 0.2001891984613862, 0.38326166496125497),
                    *(0.38326166496125497, 0.5292494771334065, 0.6403535493710659),
                    *(0.713565847416, 0.8284818230519073, 0.9252518337853975),
                ]
            ],
            other_minima=[0.0032519774004411504, 0.00475031442511084],
            label="chebyquad-10",
            tags=["rank-deficient"],
        ),
    )
    for case in family
)
