// The m x n Jacobian of a point, by columns or by rows: numbers of its own, or somebody else's memory, which it keeps
// alive. Most of what is done to a large J is to read it once, so that a copy costs as much as the arithmetic.
#pragma once

#include <cassert>
#include <memory>
#include <utility>

#include "marquardt/linalg/fold.hpp"

namespace marquardt {

class Jacobian {
 public:
  // Numbers of its own, to be sized and filled: J, or J' where they come row after row.
  Matrix& own() { return take(false); }
  Matrix& own_transposed() { return take(true); }

  // Memory without gaps that stays as it is while `owner` lives.
  void borrow(const double* data, Index rows, Index cols, bool by_rows, std::shared_ptr<void> owner) {
    assert(owner);
    data_ = data;
    by_rows_ = by_rows;
    lines_ = by_rows ? rows : cols;
    length_ = by_rows ? cols : rows;
    owner_ = std::move(owner);
  }
  const std::shared_ptr<void>& owner() const { return owner_; }  // null: the numbers are its own

  Index rows() const { return by_rows_ ? stored().cols() : stored().rows(); }
  Index cols() const { return by_rows_ ? stored().rows() : stored().cols(); }

  StridedView view() const {
    const Stored S = stored();
    return by_rows_ ? StridedView(S.data(), S.cols(), S.rows(), {1, S.rows()})
                    : StridedView(S.data(), S.rows(), S.cols(), {S.rows(), 1});
  }

  void add_product(double factor, const Vector& s, Vector& image) const;  // image += factor J s
  void pull(const Vector& v, Vector& pulled) const;                       // pulled = J'v

  // Both, and J is read once: image += factor J s, then pulled = J'v. v may be the image.
  void add_product_and_pull(double factor, const Vector& s, Vector& image, const Vector& v, Vector& pulled) const;

  void scale_rows(const Vector& factors);  // of numbers of its own from then on

 private:
  using Stored = Eigen::Map<const Matrix>;

  Matrix& take(bool by_rows) {
    owner_.reset();
    by_rows_ = by_rows;
    return own_;
  }

  // J, or J' where it lies by rows
  Stored stored() const {
    return owner_ ? Stored(data_, length_, lines_) : Stored(own_.data(), own_.rows(), own_.cols());
  }

  Matrix own_;
  bool by_rows_ = false;
  std::shared_ptr<void> owner_;
  const double* data_ = nullptr;  // borrowed: so many lines, rows or columns, of such a length
  Index lines_ = 0, length_ = 0;
};

}  // namespace marquardt
