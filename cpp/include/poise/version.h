#pragma once

namespace poise {

/// The library's version, "MAJOR.MINOR.PATCH". A static string.
const char* version() noexcept;

}  // namespace poise
