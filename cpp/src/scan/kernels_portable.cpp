#include "scan/kernels_impl.h"
#include "scan/portable.h"

namespace poise::scan_detail {

const Kernels kPortableKernels = kernel_table<Portable>();

}  // namespace poise::scan_detail
