"""Tests of SciPy's `least_squares` that ours has to fail, and why."""

from __future__ import annotations

SPARSE = "the Jacobian is a sparse array: dense ones only"
OPERATOR = "the Jacobian is a LinearOperator: dense ones only"
LSMR = "asks for tr_solver='lsmr', which is for sparse Jacobians: refused"
NO_TOLERANCES = "all tolerances may be off: a first-order measure without units always decides"
LM_CAN = "SciPy's 'lm' cannot; ours can"
EXACT = "x is 0 to 1e-13, beyond what the cost can tell in double precision; the test asks for exactly 0"
RHO2 = "rows of jac are those of sqrt(rho): where rho'' < 0 SciPy has nearly zero rows, which hide the curvature"

EXCEPTIONS = {
    # of both trust regions
    **{
        f"{face}::{test}": reason
        for face in ("TestTRF", "TestDogbox")
        for test, reason in {
            "test_equivalence": SPARSE,
            "test_exact_tr_solver": SPARSE,
            "test_solver_selection": SPARSE,
            "test_tr_options": SPARSE,
            "test_with_bounds": SPARSE,
            "test_x_scale_jac_scale": SPARSE,
            "test_linear_operator": OPERATOR,
            "test_rosenbrock": LSMR,
            "test_rosenbrock_bounds": LSMR,
            "test_rosenbrock_cropped": LSMR,
            "test_error_raised_when_all_tolerances_below_eps": NO_TOLERANCES,
            "test_jac": RHO2,
            "test_x_scale_options": EXACT,
        }.items()
    },
    "TestDogbox::test_options": EXACT,
    "TestDogbox::test_full_result": EXACT,
    "TestTRF::test_lsmr_regularization": SPARSE,
    "TestDogbox::test_bvp": "ftol=1e-2 alone is no success: the solve goes on to a first-order point, 346 evaluations",
    # of MINPACK's algorithm
    "TestLM::test_LinearOperator_not_supported": OPERATOR + ", and a wrong type is a TypeError",
    "TestLM::test_sparse_not_supported": SPARSE + ", and a wrong type is a TypeError",
    "TestLM::test_bounds_not_supported": LM_CAN,
    "TestLM::test_jac_sparsity_not_supported": LM_CAN,
    "TestLM::test_loss": LM_CAN,
    "TestLM::test_m_less_n_not_supported": LM_CAN,
    "TestLM::test_rosenbrock_cropped": LM_CAN,
    "TestLM::test_x_scale_options": EXACT,
    "TestLM::test_full_result": "njev counts the Jacobians by differences too; SciPy has None",
    "TestLM::test_rosenbrock": LSMR,
    "TestLM::test_error_raised_when_all_tolerances_below_eps": NO_TOLERANCES,
    "test_small_tolerances_for_lm": NO_TOLERANCES,
}
