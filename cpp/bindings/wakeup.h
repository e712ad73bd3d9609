// A file descriptor that event loops can wait for.
#pragma once

namespace poise::bindings {

/// Readable between raise() and lower(). An eventfd on Linux, a pipe on other POSIX systems. Not thread-safe.
class Wakeup {
 public:
  /// Throws ResourceExhausted if the process has no descriptor left, Error where there are none.
  Wakeup();
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  [[nodiscard]] int fileno() const noexcept { return read_end_; }
  void raise() noexcept;
  void lower() noexcept;

 private:
  int read_end_ = -1;
  int write_end_ = -1;  ///< the same descriptor for an eventfd
  bool raised_ = false;
};

}  // namespace poise::bindings
