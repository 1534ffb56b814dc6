#include "marquardt/step/step.hpp"

namespace marquardt {

void Scaling::update(const Vector& column_norms) {
  if (constants_.size() > 0) {
    D_ = constants_;
    return;
  }
  if (seen_.size() == 0) {
    seen_ = column_norms;
  } else {
    seen_ = seen_.cwiseMax(column_norms);
  }
  D_ = (seen_.array() > 0).select(seen_, 1.0);
}

}  // namespace marquardt
