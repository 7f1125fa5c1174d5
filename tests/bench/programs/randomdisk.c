/*
 * `randomdisk DEVICE BLOCKS REQUESTS SEED`: requests of 4 KiB all over the first BLOCKS blocks of a disk, past the cache, seven reads to three writes, one at a time.
 * Exits with 1 when one fails.
 */
#include "linux.h"

enum { BLOCK = 4096, O_RDWR = 2, O_DIRECT = 040000, SYS_pread64 = 180, SYS_pwrite64 = 181 };

static unsigned char buffer[BLOCK] __attribute__((aligned(BLOCK)));

static unsigned number(const char *text)
{
    unsigned value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (unsigned)(*text++ - '0');
    return value;
}

int linux_main(int count, char **arguments, char **environment)
{
    (void)environment;
    if (count < 5)
        return 1;
    const long disk = call2(SYS_open, arguments[1], O_RDWR | O_DIRECT);
    const unsigned blocks = number(arguments[2]);
    const unsigned requests = number(arguments[3]);
    unsigned state = number(arguments[4]);
    if (disk < 0 || !blocks)
        return 1;
    for (unsigned i = 0; i < requests; i++) {
        /* Numerical Recipes' generator; its upper bits are the better ones. */
        state = state * 1664525u + 1013904223u;
        const unsigned long long at = (unsigned long long)((state >> 8) % blocks) * BLOCK;
        const long call = i % 10 < 7 ? SYS_pread64 : SYS_pwrite64;
        if (system_call(call, disk, (long)buffer, BLOCK, (long)(at & 0xffffffff), (long)(at >> 32), 0) != BLOCK)
            return 1;
    }
    return 0;
}
