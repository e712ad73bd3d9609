// One error hierarchy. The bindings map each class to one Python exception of the same name, the
// servers to one HTTP status. A message names the value, the limit and the remedy.
#pragma once

#include <stdexcept>
#include <string>

namespace poise {

/// Root of everything that Poise throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value that no state of the system would accept (HTTP 400). Nothing was changed.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// The request cannot fit into the context that the session or executor has (HTTP 400). Raised before KV is touched.
class ContextOverflow : public InvalidArgument {
 public:
  using InvalidArgument::InvalidArgument;
};

/// The session, turn or anticipation is unknown, closed, or another tenant's (HTTP 404, the same text for all three).
class NotFound : public Error {
 public:
  using Error::Error;
};

/// A second concurrent writer (HTTP 409). The first one goes on undisturbed.
class Conflict : public Error {
 public:
  using Error::Error;
};

/// A cap on memory, sessions or sequences was reached; checked before allocation (HTTP 429 or 503).
class ResourceExhausted : public Error {
 public:
  using Error::Error;
};

/// The model file is missing, damaged or of a kind that the executor cannot serve.
class ModelError : public Error {
 public:
  using Error::Error;
};

/// A row without an answer: not-a-number logits, or every id masked. Never turned into a token.
class ScanError : public Error {
 public:
  using Error::Error;
};

/// The executor failed in the middle of a step (HTTP 500). The session keeps its log.
class ExecutorError : public Error {
 public:
  using Error::Error;
};

}  // namespace poise
