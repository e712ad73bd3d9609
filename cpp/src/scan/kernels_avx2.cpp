#include "scan/avx2.h"
#include "scan/kernels_impl.h"

namespace poise::scan_detail {

const Kernels kAvx2Kernels = kernel_table<Avx2>();

}  // namespace poise::scan_detail
