#include "scan/avx512.h"
#include "scan/kernels_impl.h"

namespace poise::scan_detail {

const Kernels kAvx512Kernels = kernel_table<Avx512>();

}  // namespace poise::scan_detail
