// Norms that survive entries between 1e-150 and 1e150 and beyond, at the price of a plain norm for all others.
#pragma once

#include <algorithm>
#include <cmath>

#include "marquardt/base/types.hpp"

namespace marquardt {

// A norm in this range had no square, and no square of anything within rounding of it, that over- or underflowed:
// epsilon * 1e-135 squared is above the smallest normal number, millions of 1e150 squared are below the largest.
constexpr double smallest_safe = 1e-135, largest_safe = 1e150;

inline bool is_safe(double norm) { return norm >= smallest_safe && norm <= largest_safe; }

template <typename Column>
double safe_norm(const Column& v) {
  if (v.size() == 0) return 0;
  const double norm = v.norm();
  return is_safe(norm) ? norm : v.stableNorm();
}

// The power of two that brings `size` into [1/2, 1), held within 2^-limit .. 2^limit; 1 for zero.
inline double normaliser(double size, int limit) {
  if (size == 0) return 1;
  int exponent;
  std::frexp(size, &exponent);
  return std::ldexp(1.0, std::clamp(-exponent, -limit, limit));
}

}  // namespace marquardt
