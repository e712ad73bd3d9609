#include "poise/version.h"

namespace poise {

const char* version() noexcept { return POISE_VERSION; }

}  // namespace poise
