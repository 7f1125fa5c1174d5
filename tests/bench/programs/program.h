/* The programs of the processor benchmark: the same C, compiled for 32 and 64 bits, runs with no system under it, as init of Linux, and natively. */
#pragma once
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word;

struct program {
  const char *name;
  /* Does `rounds` units of work; the checksum says whether the processor calculated right. */
  u32 (*run)(u32 rounds);
  /* Units that take QEMU's TCG a second or two. */
  u32 rounds;
};

/* Ends with a name of 0. */
extern const struct program compute_programs[], memory_programs[], x87_programs[], sse_programs[], string_programs[];

#define NOINLINE __attribute__((noinline))

/* xorshift32 (Marsaglia, 2003); the state must not be 0. */
static inline u32 random_next(u32 *state) {
  u32 x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}
