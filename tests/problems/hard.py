"""Names of the cases that other solvers lose, so that a test can ask for the rest without exception.

Measured: from these starts at least one of SciPy 1.17's trf (x_scale 1 and "jac") and lm, with the exact
Jacobian, tolerances of 1e-14 and 2000 evaluations, ends at no known minimum of the case.
"""

from __future__ import annotations

HARD = frozenset(
    {
        "bounded-wide",
        "degenerate-circle",
        "degenerate-line-from-1e-300",
        "mgh-bard-x100",
        "mgh-beale-x10",
        "mgh-box_3d-x100",
        "mgh-chebyquad-10-x10",
        "mgh-chebyquad-10-x100",
        "mgh-chebyquad-8-x10",
        "mgh-chebyquad-8-x100",
        "mgh-chebyquad-9-x10",
        "mgh-chebyquad-9-x100",
        "mgh-kowalik_osborne-x10",
        "mgh-osborne_1-x10",
        "mgh-powell_badly_scaled-x10",
        "mgh-powell_badly_scaled-x100",
        "nist-BoxBOD-1",
    }
)
