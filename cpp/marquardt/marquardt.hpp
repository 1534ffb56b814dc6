// Umbrella header: everything a C++ user needs to solve linear and nonlinear least-squares problems.
#pragma once

#include "marquardt/base/box.hpp"
#include "marquardt/base/options.hpp"
#include "marquardt/base/status.hpp"
#include "marquardt/linalg/accumulator.hpp"
#include "marquardt/linalg/box_qp.hpp"
#include "marquardt/linalg/secular.hpp"
#include "marquardt/problem/difference.hpp"
#include "marquardt/problem/problem.hpp"
#include "marquardt/solve/bounded_linear.hpp"
#include "marquardt/solve/covariance.hpp"
#include "marquardt/solve/linear.hpp"
#include "marquardt/solve/minimise.hpp"
#include "marquardt/solve/robust_linear.hpp"
#include "marquardt/step/step.hpp"
