// The quadratic model:  m(p_hat) = g_hat'p_hat + 1/2 p_hat'(B + C)p_hat,  B = A'A = diag(d) H diag(d),
// evaluated through the image R (d .* p_hat) when the rows are a triangle: ||A p + z||^2 - ||z||^2 is then
// (A p)'(A p + 2z), in which small falls keep their digits at any conditioning.
// Reference: Conn, Gould & Toint, Trust-Region Methods, 6.1 and 17.4.
#include "marquardt/linalg/model.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "marquardt/linalg/product.hpp"

namespace marquardt {

void Model::set(const Reduced& rows, const VectorView& d, const VectorView& C) {
  const Index n = d.size();
  assert(rows.g.size() == n && C.size() == n);
  assert((d.array() >= 0).all() && (C.array() >= 0).all());
  rows_ = &rows;
  d_ = d;
  C_ = C;
  g_hat_ = d_.cwiseProduct(rows.g);
  curved_ = (C_.array() != 0).any();
  image_u_.resize(n);
  image_v_.resize(n);
}

Index Model::most_rank() const {
  const Index curved = curved_ ? (C_.array() != 0).count() : 0;
  return std::min(size(), rows_->rows + curved);
}

// R (d .* u) or H (d .* u)
void Model::map(const VectorView& u, Vector& scaled, Vector& image) const {
  scaled = d_.cwiseProduct(u);
  if (rows_->form == Form::triangle) {
    image.noalias() = rows_->R.triangularView<Eigen::Upper>() * scaled;
  } else {
    multiply(rows_->H, scaled, image);
  }
}

double Model::curvature(const VectorView& u, const VectorView& v) const {
  map(u, scaled_u_, image_u_);
  double sum = 0;
  if (rows_->form == Form::triangle) {
    map(v, scaled_v_, image_v_);
    sum = image_u_.dot(image_v_);
  } else {
    sum = image_u_.dot(d_.cwiseProduct(v));
  }
  return curved_ ? sum + u.dot(C_.cwiseProduct(v)) : sum;
}

double Model::decrease(const VectorView& p_hat) const {
  assert(rows_ && p_hat.size() == size());
  map(p_hat, scaled_u_, image_u_);
  double fall = rows_->form == Form::triangle ? -image_u_.dot(rows_->z + 0.5 * image_u_)
                                              : -g_hat_.dot(p_hat) - 0.5 * image_u_.dot(scaled_u_);
  if (curved_) fall -= 0.5 * p_hat.dot(C_.cwiseProduct(p_hat));
  return std::isnan(fall) ? -infinity : fall;  // a product overflowed: such a step promises nothing
}

void Model::matrix(Matrix& B) const {
  if (rows_->form == Form::gram) {
    B.noalias() = d_.asDiagonal() * rows_->H * d_.asDiagonal();
  } else {
    A_.noalias() = rows_->R * d_.asDiagonal();
    B.setZero(size(), size());
    B.selfadjointView<Eigen::Lower>().rankUpdate(A_.transpose());
    B.triangularView<Eigen::StrictlyUpper>() = B.transpose();
  }
  B.diagonal() += C_;
}

Model::Quadratic Model::along(const VectorView& s, const VectorView& u) const {
  assert(rows_ && s.size() == size() && u.size() == size());
  return {0.5 * curvature(u, u), g_hat_.dot(u) + curvature(s, u)};
}

}  // namespace marquardt
