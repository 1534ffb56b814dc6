// A loss written in Python: loss(z) -> rho(z), rho'(z), rho''(z) as the rows of one array.
#pragma once

#include <memory>

#include "bind/callback.hpp"
#include "marquardt/problem/loss.hpp"

namespace marquardt::bind {

// The name of a loss, or a callable; the scale is C.
Loss read_loss(const py::object& loss, Vector scale);

}  // namespace marquardt::bind
