// Kernels on small triangles that the subproblems share: all in place, none allocates.
//
//   square_root      a triangle T with T'T = B + C, from either form of rows
//   fold_diagonal    the triangle of [T; diag(s)]
//   pivot_columns    column-pivoted QR of a square matrix
//   orthogonalise    one-sided Jacobi: columns rotated until they are orthogonal
#pragma once

#include "marquardt/linalg/model.hpp"

namespace marquardt {

// T'T = s^2 P'(B + C)P and T'w = s P'g_hat: column k of T belongs to variable order[k]. The power of two s brings the
// largest entry near 1, so that no square below over- or underflows; a step of T is 1/s of a step of the model and
// its damping s^2 alpha.
struct Root {
  Matrix T;  // n x n upper triangular, strictly lower part zero
  Vector w;
  Eigen::VectorXi order;
  double s = 1;
  const Model* model = nullptr;
  Matrix fill;  // work of fold_diagonal
  Vector diagonal;
};

// Triangle rows: A itself, exact to rounding. Gram rows: pivoted Cholesky of B + C, which ends where a remaining
// diagonal entry is within rounding (n epsilon) of its original: what lies below sqrt(n epsilon) of its
// column's norm in A was lost when the Gram matrix was formed, and counts as zero.
void square_root(const Model& model, Root& root);

// From a step of T to a step of the model. A variable that must not move (d = 0) gets exactly 0: it is coupled to
// no other, and orthogonal transformations keep that to rounding only.
void place_step(const Root& root, const Vector& step, Vector& p_hat);

// [T w; diag(s) 0] -> [T+ w+; 0 *] with T+ upper triangular, by reflectors that use the zeros: 2/3 n^3 operations.
void fold_diagonal(const VectorView& s, Matrix& T, Vector& w, Matrix& fill);

// T P = Q R: T is overwritten by R, w by Q'w, and the entries of `order` travel with their columns.
void pivot_columns(Matrix& T, Vector& w, Eigen::VectorXi& order);

// L W with orthogonal W and orthogonal columns, in falling length; w becomes W'w. For the triangle R of a
// pivoted QR and L = R' these columns are sigma_i v_i of R = U diag(sigma) V', and w becomes U'w, without U.
void orthogonalise(Matrix& L, Vector& w);

}  // namespace marquardt
