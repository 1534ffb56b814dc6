// From a name to a factorisation.
#include "marquardt/linalg/subproblem.hpp"

#include <cassert>

namespace marquardt {

std::unique_ptr<Subproblem> make_subproblem(SubproblemKind kind) {
  switch (kind) {
    case SubproblemKind::cholesky:
      return make_cholesky();
    case SubproblemKind::qr:
      return make_qr();
    case SubproblemKind::svd:
      return make_svd();
    case SubproblemKind::automatic:
      return make_automatic();
  }
  assert(false && "unknown SubproblemKind");
  return nullptr;
}

Form form_for(SubproblemKind kind) {
  const bool normal_equations = kind == SubproblemKind::cholesky || kind == SubproblemKind::automatic;
  return normal_equations ? Form::gram : Form::triangle;
}

}  // namespace marquardt
