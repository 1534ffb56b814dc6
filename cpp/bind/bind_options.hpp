// Reading options out of a Python dict.
#pragma once

#include "bind/python.hpp"
#include "marquardt/base/options.hpp"

namespace marquardt::bind {

// Unknown names and wrong values are refused by name.
Options read_options(const py::dict& given);

}  // namespace marquardt::bind
