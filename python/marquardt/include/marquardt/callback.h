/* Signatures of compiled residuals and Jacobians for the Python package marquardt.
 *
 *   cc -O2 -shared -fPIC -I"$(python -c 'import marquardt; print(marquardt.get_include())')" model.c -o model.so
 *
 *   lib = ctypes.CDLL("./model.so")
 *   fun = marquardt.CompiledResidual(lib.residual, m=50, jac=lib.jacobian)
 *   result = marquardt.least_squares(fun, x0)
 *
 * x has n numbers, r has m, J has m * n: row after row (J[i * n + j] = dr_i / dx_j), or with order="F" column after
 * column (J[i + j * m]), which saves a transposition. `user` is the address given as user_data.
 *
 * Each returns 0; or a positive number if there is no result at this x, which is treated as a result that is not
 * finite; or a negative number to end the solve, which raises a RuntimeError as an exception of a Python function would
 * be. All of r and J is to be filled, zeros too: both are full of NaN before the call.
 *
 * No Python lock is held. Two solves in two threads may call a function at the same time.
 */
#ifndef MARQUARDT_CALLBACK_H
#define MARQUARDT_CALLBACK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int marquardt_residual(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, void* user);
typedef int marquardt_jacobian(const double* x, ptrdiff_t n, double* J, ptrdiff_t m, void* user);

/* both=True: r always; J as well unless it is NULL. */
typedef int marquardt_both(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, double* J, void* user);

#ifdef __cplusplus
}
#endif

#endif
