# Where Eigen's headers come from, first match:
#   1. the target Eigen3::Eigen, if the including project has one already
#   2. -DMARQUARDT_EIGEN_DIR=<directory that contains Eigen/Core>
#   3. cpp/extern/eigen, in a source distribution only (a leftover of making one in a checkout is not used)
#   4. find_package(Eigen3), PyPI's cmeel-eigen of the Python in use before a system-wide one
include_guard()

set(MARQUARDT_EIGEN_DIR "" CACHE PATH "Directory that contains Eigen/Core (empty: search)")
get_filename_component(marquardt_root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)

# <site-packages>/cmeel.prefix of every place where cmeel-eigen may have been installed.
function(marquardt_eigen_hints result)
  set(hints "")
  foreach(prefix IN LISTS CMAKE_PREFIX_PATH) # scikit-build-core lists the site-packages of static requirements
    list(APPEND hints "${prefix}/cmeel.prefix")
  endforeach()
  if(Python_EXECUTABLE)
    set(python "${Python_EXECUTABLE}")
  else() # the one on PATH: that of the active virtual environment
    find_program(python NAMES python python3 NO_CACHE)
  endif()
  if(python) # pip puts dynamic requirements elsewhere than static ones, only the interpreter knows where
    execute_process(COMMAND "${python}" -c
      "import importlib.metadata as m; print(m.distribution('cmeel-eigen').locate_file('cmeel.prefix').as_posix(), end='')"
      OUTPUT_VARIABLE prefix ERROR_QUIET RESULT_VARIABLE failed)
    if(failed EQUAL 0)
      list(PREPEND hints "${prefix}")
    endif()
  endif()
  set(${result} "${hints}" PARENT_SCOPE)
endfunction()

function(marquardt_eigen_directory result)
  if(MARQUARDT_EIGEN_DIR)
    set(directory "${MARQUARDT_EIGEN_DIR}")
  elseif(EXISTS "${marquardt_root}/PKG-INFO" AND EXISTS "${marquardt_root}/cpp/extern/eigen/Eigen/Core")
    set(directory "${marquardt_root}/cpp/extern/eigen")
  else()
    marquardt_eigen_hints(hints)
    find_package(Eigen3 CONFIG QUIET HINTS ${hints})
    if(TARGET Eigen3::Eigen)
      get_target_property(directory Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
      list(GET directory 0 directory)
    endif()
  endif()
  if(NOT EXISTS "${directory}/Eigen/Core")
    message(FATAL_ERROR "Eigen (3.4 or later) was not found. Any of these helps:\n"
      "  pip install cmeel-eigen==3.4.1        in the active virtual environment\n"
      "  apt install libeigen3-dev | brew install eigen | vcpkg install eigen3\n"
      "  -DMARQUARDT_EIGEN_DIR=<directory that contains Eigen/Core>")
  endif()
  set(${result} "${directory}" PARENT_SCOPE)
endfunction()

function(marquardt_eigen_version directory result)
  set(home "${directory}/Eigen/Version") # Eigen 5
  if(NOT EXISTS "${home}")
    set(home "${directory}/Eigen/src/Core/util/Macros.h") # Eigen 3
  endif()
  file(READ "${home}" text)
  set(version "")
  foreach(part WORLD MAJOR MINOR PATCH) # 3.4.1 is WORLD.MAJOR.MINOR; 5.0.1 is MAJOR.MINOR.PATCH (WORLD stays 3)
    if(text MATCHES "#define EIGEN_${part}_VERSION ([0-9]+)")
      set(${part} "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  if(DEFINED PATCH)
    set(version "${MAJOR}.${MINOR}.${PATCH}")
  else()
    set(version "${WORLD}.${MAJOR}.${MINOR}")
  endif()
  if(version VERSION_LESS 3.4)
    message(FATAL_ERROR "Eigen ${version} in ${directory} is too old: marquardt needs 3.4 or later.")
  endif()
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# The target marquardt::eigen: headers, silenced as system headers, restricted to their MPL-2.0 part.
function(marquardt_add_eigen)
  add_library(marquardt_eigen INTERFACE)
  add_library(marquardt::eigen ALIAS marquardt_eigen)
  target_compile_definitions(marquardt_eigen INTERFACE EIGEN_MPL2_ONLY)
  if(TARGET Eigen3::Eigen) # two versions in one program would break it
    target_link_libraries(marquardt_eigen INTERFACE Eigen3::Eigen)
    return()
  endif()
  marquardt_eigen_directory(directory)
  marquardt_eigen_version("${directory}" version)
  message(STATUS "Eigen ${version}: ${directory}")
  target_include_directories(marquardt_eigen SYSTEM INTERFACE "${directory}")
endfunction()

# Copies the parts of Eigen that are used into `destination`, for the source distribution. Left out on purpose:
# IterativeLinearSolvers (it holds the one file under the LGPL) and every bridge to a third-party solver.
function(marquardt_vendor_eigen destination)
  marquardt_eigen_directory(directory)
  marquardt_eigen_version("${directory}" version)
  message(STATUS "Eigen ${version}: ${directory} -> ${destination}")
  file(REMOVE_RECURSE "${destination}")
  foreach(module Cholesky Core Dense Eigenvalues Geometry Householder Jacobi LU OrderingMethods QR SVD
                 SparseCholesky SparseCore SparseQR)
    file(COPY "${directory}/Eigen/${module}" DESTINATION "${destination}/Eigen")
    if(EXISTS "${directory}/Eigen/src/${module}") # Dense is a list of other modules
      file(COPY "${directory}/Eigen/src/${module}" DESTINATION "${destination}/Eigen/src")
    endif()
  endforeach()
  file(COPY "${directory}/Eigen/src/misc" "${directory}/Eigen/src/plugins" DESTINATION "${destination}/Eigen/src")
  if(EXISTS "${directory}/Eigen/Version")
    file(COPY "${directory}/Eigen/Version" DESTINATION "${destination}/Eigen")
  endif()
endfunction()
