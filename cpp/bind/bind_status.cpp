// The status table, as data: Python makes its IntEnum and its messages of it.
#include "bind/python.hpp"
#include "marquardt/base/status.hpp"

namespace marquardt::bind {

void bind_status(py::module_& m) {
  m.def(
      "status_table",
      [] {
        py::list rows;
        for (const StatusEntry& e : status_table()) {
          rows.append(py::make_tuple(static_cast<int>(e.status), e.name, e.sentence, e.success));
        }
        return rows;
      },
      "Every ending of a solve: (number, name, sentence, success).");
}

}  // namespace marquardt::bind
