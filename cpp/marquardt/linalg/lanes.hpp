// Four doubles side by side, for loops that are compiled for several instruction sets within one file.
//
// Plain code with operators only; every function here is inlined always and passes by reference, so that no version of
// it, made for one instruction set, can be called from code for another.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace marquardt {

#if defined(__clang__)
// Clang takes whatever a reference to a vector type names for aligned to its size; a packed structure keeps its word.
struct __attribute__((packed, aligned(8), may_alias)) Lanes {
  typedef double Four __attribute__((vector_size(32)));
  Four of;
#define MARQUARDT_LANES [[gnu::always_inline]]
  MARQUARDT_LANES double operator[](std::ptrdiff_t i) const { return of[i]; }
  MARQUARDT_LANES Lanes operator*(double w) const { return {of * w}; }
  MARQUARDT_LANES Lanes operator*(const Lanes& o) const { return {of * o.of}; }
  MARQUARDT_LANES Lanes operator/(const Lanes& o) const { return {of / o.of}; }
  MARQUARDT_LANES Lanes operator+(const Lanes& o) const { return {of + o.of}; }
  MARQUARDT_LANES Lanes operator-(const Lanes& o) const { return {of - o.of}; }
  MARQUARDT_LANES Lanes operator-() const { return {-of}; }
  MARQUARDT_LANES void operator+=(const Lanes& o) { of = of + o.of; }
  MARQUARDT_LANES void operator-=(const Lanes& o) { of = of - o.of; }
#undef MARQUARDT_LANES
};
#elif defined(__GNUC__)
typedef double Lanes __attribute__((vector_size(32), aligned(8), may_alias));  // at any double's address
#else
struct Lanes {
  double of[4];
  double& operator[](int i) { return of[i]; }
  double operator[](int i) const { return of[i]; }
  Lanes operator*(double w) const { return {{of[0] * w, of[1] * w, of[2] * w, of[3] * w}}; }
  Lanes operator*(const Lanes& o) const { return {{of[0] * o[0], of[1] * o[1], of[2] * o[2], of[3] * o[3]}}; }
  Lanes operator/(const Lanes& o) const { return {{of[0] / o[0], of[1] / o[1], of[2] / o[2], of[3] / o[3]}}; }
  Lanes operator+(const Lanes& o) const { return {{of[0] + o[0], of[1] + o[1], of[2] + o[2], of[3] + o[3]}}; }
  Lanes operator-(const Lanes& o) const { return {{of[0] - o[0], of[1] - o[1], of[2] - o[2], of[3] - o[3]}}; }
  Lanes operator-() const { return {{-of[0], -of[1], -of[2], -of[3]}}; }
  void operator+=(const Lanes& o) { *this = *this + o; }
  void operator-=(const Lanes& o) { *this = *this - o; }
};
#endif

[[gnu::always_inline]] inline const Lanes& lanes_at(const double* p) { return *reinterpret_cast<const Lanes*>(p); }
[[gnu::always_inline]] inline Lanes& lanes_at(double* p) { return *reinterpret_cast<Lanes*>(p); }
[[gnu::always_inline]] inline void spread(double value, Lanes& out) { out = Lanes{value, value, value, value}; }
[[gnu::always_inline]] inline double sum_of(const Lanes& a) { return (a[0] + a[1]) + (a[2] + a[3]); }

// Asks for the line of the cache around p, which will be needed soon.
[[gnu::always_inline]] inline void fetch(const double* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#else
  (void)p;
#endif
}

// The first place at or after p where a line of the cache begins. Lanes may lie anywhere, but from where 32 bytes do
// not divide the address every other one lies across two lines, and loops take up to twice the time.
constexpr std::ptrdiff_t line = 8;  // doubles, and how many of them aligning may pass over
inline double* align(double* p) {
  const auto past = reinterpret_cast<std::uintptr_t>(p) % (line * sizeof(double));
  return past == 0 ? p : p + (line - static_cast<std::ptrdiff_t>(past / sizeof(double)));
}

// out = a b + c, rounded once. Without such an instruction a slow but right function of the C library.
[[gnu::always_inline]] inline void multiply_add(const Lanes& a, const Lanes& b, const Lanes& c, Lanes& out) {
  out = Lanes{std::fma(a[0], b[0], c[0]), std::fma(a[1], b[1], c[1]), std::fma(a[2], b[2], c[2]),
              std::fma(a[3], b[3], c[3])};
}

// A running sum in twice the digits. It starts at an anchor of at least four times the sum of the sizes of all terms,
// so that every new high part differs from the last by a number without rounding, and the low part collects what that
// number left of its term:
//
//   t = fl(high + a b),  low += a b - (t - high),  high = t          sum = (high - anchor) + low
//
// with an error of about epsilon^2 times the anchor a term. Where all anchors are alike, so is the spacing of the high
// parts: high - anchor summed over lanes is exact. References: Rump, Ogita & Oishi (2008), Accurate floating-point
// summation (the anchor); Ogita, Rump & Oishi (2005), Accurate sum and dot product.
struct LongSum {
  Lanes high, low;
};

[[gnu::always_inline]] inline void begin_sum(const Lanes& anchor, LongSum& sum) {
  sum.high = anchor;
  sum.low = anchor - anchor;
}

[[gnu::always_inline]] inline void add_term(const Lanes& a, LongSum& sum) {
  const Lanes t = sum.high + a;
  sum.low += a - (t - sum.high);
  sum.high = t;
}

[[gnu::always_inline]] inline void add_product(const Lanes& a, const Lanes& b, LongSum& sum) {
  Lanes t, left;
  multiply_add(a, b, sum.high, t);
  const Lanes back = sum.high - t;
  multiply_add(a, b, back, left);
  sum.low += left;
  sum.high = t;
}

// high + low = a + b, high the rounded sum (Knuth). Twice, not a template: that would forget how Lanes are aligned.
[[gnu::always_inline]] inline void two_sum(double a, double b, double& high, double& low) {
  const double s = a + b, part = s - a;
  low = (a - (s - part)) + (b - part);
  high = s;
}
[[gnu::always_inline]] inline void two_sum(const Lanes& a, const Lanes& b, Lanes& high, Lanes& low) {
  const Lanes s = a + b, part = s - a;
  low = (a - (s - part)) + (b - part);
  high = s;
}

// Runs loops(), a function object whose call is inlined always, with the widest instructions that the processor has;
// runs_wide() says whether those are AVX2 and FMA.
#if defined(__GNUC__) && defined(__x86_64__) && !(defined(__AVX2__) && defined(__FMA__))
inline bool runs_wide() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; }
template <typename Loops>
[[gnu::target("avx2,fma")]] void run_with_avx2(const Loops& loops) {
  loops();
}
template <typename Loops>
void run_widest(const Loops& loops) {
  if (runs_wide()) {
    run_with_avx2(loops);
  } else {
    loops();
  }
}
#else
#if defined(__AVX2__) && defined(__FMA__)
inline bool runs_wide() { return true; }
#else
inline bool runs_wide() { return false; }
#endif
template <typename Loops>
void run_widest(const Loops& loops) {
  loops();
}
#endif

}  // namespace marquardt
