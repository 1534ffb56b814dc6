// Per accepted point, the cheapest factorisation that is safe there:
//
//   Gram rows        LL' of B + C + alpha I. Whoever made the rows has found normal equations safe (safe_rows.hpp), and
//                    d, C and alpha can only make them safer; should a pivot be lost all the same, Cholesky falls
//                    back by itself.
//   triangle rows    pivoted QR, exact to the condition of A and not to its square.
//   rank in doubt    a pivot of that QR below `doubtful` times the largest: the SVD, whose verdict on the rank is
//                    final.
//
// A Gauss-Newton step that fits the region is the solve at alpha = 0 and costs one factorisation; the secular equation
// is entered only by steps that do not fit.
#include <algorithm>
#include <cassert>

#include "marquardt/linalg/safe_rows.hpp"
#include "marquardt/linalg/subproblem.hpp"

namespace marquardt {
namespace {

// Where rank becomes a question. Pivots follow singular values within a factor of about n, and n epsilon times the
// largest is where a singular value counts as zero: above 1e-10 there is no doubt up to n of hundreds.
constexpr double doubtful = 1e-10;
// Columns of safe Gram rows are independent in the model's scaling too if none is shorter than this share of the
// longest: singular values are then above 1e-5 times that, far from n epsilon.
constexpr double comparable = 1e-6;

class Automatic final : public Subproblem {
 public:
  void factor(const Model& model) override {
    model_ = &model;
    if (model.rows().form == Form::gram) {
      chosen_ = cholesky_.get();
      chosen_->factor(model);
      return;
    }
    if (!qr_) qr_ = make_qr(doubtful);
    chosen_ = qr_.get();
    chosen_->factor(model);
    if (chosen_->rank() == model.size()) return;
    if (!svd_) svd_ = make_svd();
    chosen_ = svd_.get();
    chosen_->factor(model);
  }

  bool solve(double alpha, Vector& p_hat) override { return chosen().solve(alpha, p_hat); }
  double slope(const Vector& p_hat) override { return chosen().slope(p_hat); }
  bool back_solve(const Vector& h, Vector& q) override { return chosen().back_solve(h, q); }
  Index rank() const override { return plainly_full() ? model_->size() : chosen().rank(); }

 private:
  Subproblem& chosen() const {
    assert(chosen_);
    return *chosen_;
  }

  // Whether the rank is n, which does not take a rank-revealing factorisation.
  bool plainly_full() const {
    if (model_->rows().form != Form::gram) return false;
    double shortest = infinity, longest = 0;
    for (Index j = 0; j < model_->size(); ++j) {
      const double length = model_->d()[j] * model_->rows().column_norms[j];
      if (model_->d()[j] == 0 && model_->C()[j] > 0) continue;  // held: a column of its own
      shortest = std::min(shortest, length);
      longest = std::max(longest, length);
    }
    return longest > 0 && shortest >= comparable * longest && sigma_(model_->rows()) >= least_sigma;
  }

  const Model* model_ = nullptr;
  mutable ScaledSigma sigma_;
  std::unique_ptr<Subproblem> cholesky_ = make_cholesky(), qr_, svd_;
  Subproblem* chosen_ = nullptr;
};

}  // namespace

std::unique_ptr<Subproblem> make_automatic() { return std::make_unique<Automatic>(); }

}  // namespace marquardt
