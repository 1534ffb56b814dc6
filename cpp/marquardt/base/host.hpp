// The program around a solve. A host that holds a lock while the user's function runs (an interpreter) may let it go
// during long arithmetic; it is told where such arithmetic begins, how long it is, and where it ends.
#pragma once

namespace marquardt {

class Host {
 public:
  virtual ~Host() = default;
  virtual void arithmetic_begins(double /*flops*/) {}
  virtual void arithmetic_ends() {}
};

// Brackets a stretch of arithmetic, exceptions included.
class Arithmetic {
 public:
  Arithmetic(Host& host, double flops) : host_(host) { host_.arithmetic_begins(flops); }
  ~Arithmetic() { host_.arithmetic_ends(); }
  Arithmetic(const Arithmetic&) = delete;
  Arithmetic& operator=(const Arithmetic&) = delete;

 private:
  Host& host_;
};

}  // namespace marquardt
