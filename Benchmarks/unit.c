/* The unit that the Python rows are multiples of: a function that takes three integers and does
 * nothing, so that calling it costs what ctypes costs.
 *
 *     gcc -O2 -shared -fPIC unit.c -o unit.so */
#include <stdint.h>

int32_t admission_bench_unit(int64_t first, int64_t second, int64_t third) {
    return (int32_t)(first + second + third);
}
