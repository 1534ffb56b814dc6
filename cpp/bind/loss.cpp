#include "bind/loss.hpp"

#include <string>
#include <utility>

namespace marquardt::bind {
namespace {

class PyLoss : public LossFunction {
 public:
  explicit PyLoss(py::object function) : function_(std::move(function), py::tuple()) {}
  ~PyLoss() override = default;

  void evaluate(const Vector& z, Vector& rho, Vector& first, Vector& second) override {
    const py::gil_scoped_acquire locked;  // a row scaling may fall into arithmetic for which the lock was let go
    const Array rows = read(function_(z), z.size());
    rho = row(rows, 0);
    first = row(rows, 1);
    second = row(rows, 2);
  }

 private:
  using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;

  static Array read(const py::object& returned, Index m) {
    const py::array a = py::array::ensure(returned);  // an error is cleared here
    const char kind = a ? a.dtype().kind() : 'O';
    if (kind != 'f' && kind != 'i' && kind != 'u') {
      const py::object what = kind == 'O' ? py::object(py::type::of(returned).attr("__name__")) : a.dtype();
      throw py::type_error("loss must return an array of real numbers, got " + std::string(py::str(what)));
    }
    if (a.ndim() != 2 || a.shape(0) != 3 || a.shape(1) != m) {
      throw py::value_error("loss must return rho(z), rho'(z) and rho''(z) as an array of shape (3, " +
                            std::to_string(m) + "), got shape " + std::string(py::str(py::tuple(a.attr("shape")))));
    }
    return Array(a);
  }

  static Vector row(const Array& rows, Index i) { return Eigen::Map<const Vector>(rows.data(i, 0), rows.shape(1)); }

  Callable function_;
};

}  // namespace

Loss read_loss(const py::object& loss, Vector scale) {
  if (py::isinstance<py::str>(loss)) return Loss(loss_kind(loss.cast<std::string>()), std::move(scale));
  if (PyCallable_Check(loss.ptr())) return Loss(std::make_shared<PyLoss>(loss), std::move(scale));
  throw py::type_error("loss must be a name or callable, got " + std::string(py::repr(loss)));
}

}  // namespace marquardt::bind
