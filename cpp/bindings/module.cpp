#include <pybind11/pybind11.h>

#include "poise/version.h"

// A placeholder until the classes are bound: one file a bound class, registered here.
PYBIND11_MODULE(_core, m) {
  m.doc() = "Poise's C++ core.";
  m.attr("__version__") = poise::version();
}
