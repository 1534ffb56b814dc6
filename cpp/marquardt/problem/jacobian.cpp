#include "marquardt/problem/jacobian.hpp"

#include <algorithm>

namespace marquardt {
namespace {

// Numbers of J that stay in the second level of cache between two products.
constexpr Index block_size = 16384;
// Up to so many the set-up of a blocked product takes longer than the product.
constexpr Index few = 64;

// y += factor A x, with A any expression of J
template <class A, class X, class Y>
void add(double factor, const A& matrix, const X& x, Y&& y) {
  if (matrix.size() <= few) {
    y += factor * matrix.lazyProduct(x);
  } else {
    y.noalias() += factor * matrix * x;
  }
}

}  // namespace

void Jacobian::add_product(double factor, const Vector& s, Vector& image) const {
  if (by_rows_) {
    add(factor, stored().transpose(), s, image);
  } else {
    add(factor, stored(), s, image);
  }
}

void Jacobian::pull(const Vector& v, Vector& pulled) const {
  pulled.setZero(cols());
  if (by_rows_) {
    add(1, stored(), v, pulled);
  } else {
    add(1, stored().transpose(), v, pulled);
  }
}

void Jacobian::add_product_and_pull(double factor, const Vector& s, Vector& image, const Vector& v,
                                    Vector& pulled) const {
  const Index m = rows(), block = std::max<Index>(block_size / cols(), 16);
  const Stored S = stored();
  pulled.setZero(cols());
  for (Index first = 0; first < m; first += block) {
    const Index count = std::min(block, m - first);
    if (by_rows_) {
      const auto lines = S.middleCols(first, count);
      add(factor, lines.transpose(), s, image.segment(first, count));
      add(1, lines, v.segment(first, count), pulled);
    } else {
      const auto lines = S.middleRows(first, count);
      add(factor, lines, s, image.segment(first, count));
      add(1, lines.transpose(), v.segment(first, count), pulled);
    }
  }
}

void Jacobian::scale_rows(const Vector& factors) {
  if (owner_) {
    own_ = stored();
    owner_.reset();
  }
  if (by_rows_) {
    own_.array().rowwise() *= factors.transpose().array();
  } else {
    own_.array().colwise() *= factors.array();
  }
}

}  // namespace marquardt
