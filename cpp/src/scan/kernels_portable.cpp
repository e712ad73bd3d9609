#include "scan/portable.h"
#include "scan/kernels_impl.h"

namespace poise::scan_detail {

const Kernels kPortableKernels = kernel_table<Portable>();

}  // namespace poise::scan_detail
