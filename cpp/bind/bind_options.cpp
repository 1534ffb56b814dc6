// Options from and to Python, all through the one list of fields.
#include "bind/bind_options.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace marquardt::bind {
namespace {

// A number for a member of type T; what does not fit is refused by name, as a TypeError.
template <class T>
T read(const Field& field, const py::handle& value) {
  try {
    return value.cast<T>();
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(field.name) + " must be " +
                         (std::is_same_v<T, double>        ? "a number"
                          : std::is_same_v<T, bool>        ? "True or False"
                          : std::is_same_v<T, std::string> ? "a string"
                                                           : "an integer") +
                         ", got " + std::string(py::repr(value)));
  }
}

void set(Options& options, const Field& field, const py::handle& value) {
  std::visit(
      [&](auto place) {
        using T = std::remove_reference_t<decltype(options.*place)>;
        options.*place = read<T>(field, value);
      },
      field.place);
}

const Field& field_of(std::string_view name) {
  const auto& all = fields();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Field& field) { return name == field.name; });
  if (found == all.end()) throw py::value_error("unknown option '" + std::string(name) + "'");
  return *found;
}

// A view of the key's own letters, as long as the key lives: a cast would allocate to keep it alive.
std::string_view name_in(const py::handle& key) {
  Py_ssize_t size = 0;
  const char* letters = PyUnicode_AsUTF8AndSize(key.ptr(), &size);
  if (!letters) throw py::error_already_set();
  return {letters, static_cast<std::size_t>(size)};
}

}  // namespace

Options read_options(const py::dict& given) {
  Options options;
  for (const auto& [key, value] : given) set(options, field_of(name_in(key)), value);
  options.check();
  return options;
}

void bind_options(py::module_& m) {
  m.def(
      "option_fields",
      [] {
        const Options defaults;
        py::list rows;
        for (const Field& field : fields()) {
          const py::object value = std::visit([&](auto place) { return py::cast(defaults.*place); }, field.place);
          rows.append(py::make_tuple(field.name, value, field.meaning));
        }
        return rows;
      },
      "Every option of a solve: (name, default, meaning).");
}

}  // namespace marquardt::bind
