#include "wakeup.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "poise/error.h"

#if defined(__linux__)
#include <sys/eventfd.h>
#include <unistd.h>
#elif defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace poise::bindings {
namespace {

[[maybe_unused, noreturn]] void throw_no_descriptor() {
  throw ResourceExhausted(std::string("no file descriptor for a turn's events: ") + std::strerror(errno) +
                          "; raise the limit (ulimit -n), or wait with next_event()");
}

}  // namespace

#if defined(__linux__)

Wakeup::Wakeup() : read_end_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), write_end_(read_end_) {
  if (read_end_ < 0) throw_no_descriptor();
}

Wakeup::~Wakeup() { ::close(read_end_); }

#elif defined(__unix__) || defined(__APPLE__)

Wakeup::Wakeup() {
  int ends[2];
  if (::pipe(ends) != 0) throw_no_descriptor();
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(end, F_SETFL, O_NONBLOCK);
  }
  read_end_ = ends[0];
  write_end_ = ends[1];
}

Wakeup::~Wakeup() {
  ::close(read_end_);
  ::close(write_end_);
}

#else

Wakeup::Wakeup() { throw Error("fileno() needs a POSIX system; wait with next_event() in a thread"); }
Wakeup::~Wakeup() = default;

#endif

#if defined(__unix__) || defined(__APPLE__)

void Wakeup::raise() noexcept {
  if (raised_) return;
  const std::uint64_t one = 1;  // eight bytes, as an eventfd asks for
  raised_ = ::write(write_end_, &one, sizeof one) == sizeof one;
}

void Wakeup::lower() noexcept {
  std::uint64_t value = 0;
  if (raised_ && ::read(read_end_, &value, sizeof value) == sizeof value) raised_ = false;
}

#else

void Wakeup::raise() noexcept {}
void Wakeup::lower() noexcept {}

#endif

}  // namespace poise::bindings
