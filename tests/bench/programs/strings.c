/* The string functions of a C library as AVX2 has them: length, search, comparison and copy, 32 bytes at a time. Only for x86-64-v3. */
#include "program.h"

#ifdef __AVX2__
typedef char v32 __attribute__((vector_size(32)));
typedef v32 v32_unaligned __attribute__((aligned(1), may_alias));

#define LENGTH 65536
static char text[LENGTH + 64] __attribute__((aligned(64))), copy_of[LENGTH + 128] __attribute__((aligned(64)));

static inline v32 load(const char *at) { return *(const v32_unaligned *)at; }
static inline u32 mask(v32 v) { return (u32)__builtin_ia32_pmovmskb256(v); }

static NOINLINE word length(const char *s) {
  const char *aligned = (const char *)((word)s & ~31ul);
  const v32 zero = {0};
  u32 found = mask(*(const v32 *)aligned == zero) >> ((word)s & 31);
  if (found) return __builtin_ctz(found);
  for (;;) {
    aligned += 32;
    found = mask(*(const v32 *)aligned == zero);
    if (found) return aligned + __builtin_ctz(found) - s;
  }
}

static NOINLINE const char *find(const char *s, char wanted, word count) {
  const v32 all = (v32){0} + wanted;
  for (; count >= 32; count -= 32, s += 32) {
    u32 found = mask(load(s) == all);
    if (found) return s + __builtin_ctz(found);
  }
  u32 found = mask(load(s) == all) & ((1u << count) - 1);
  return found ? s + __builtin_ctz(found) : 0;
}

static NOINLINE int compare(const char *a, const char *b) {
  const v32 zero = {0};
  for (;; a += 32, b += 32) {
    v32 x = load(a), y = load(b);
    u32 different = ~mask((v32)(x == y) & (v32)(x != zero));
    if (!different) continue;
    u32 at = __builtin_ctz(different);
    return (u8)a[at] - (u8)b[at];
  }
}

static NOINLINE void copy_bytes(char *to, const char *from, word count) {
  if (count >= 32) {
    v32 last = load(from + count - 32);
    char *end = to + count - 32;
    for (; count > 128; count -= 128, to += 128, from += 128) {
      v32 a = load(from), b = load(from + 32), c = load(from + 64), d = load(from + 96);
      *(v32_unaligned *)to = a;
      *(v32_unaligned *)(to + 32) = b;
      *(v32_unaligned *)(to + 64) = c;
      *(v32_unaligned *)(to + 96) = d;
    }
    for (; count > 32; count -= 32, to += 32, from += 32) *(v32_unaligned *)to = load(from);
    *(v32_unaligned *)end = last;
  } else
    while (count--) *to++ = *from++;
}

static u32 strings(u32 rounds) {
  u32 seed = 23, sum = 0;
  /* Words and lines of a text, each ending in a zero byte for these functions: 1 to 300 characters. */
  for (u32 at = 0; at < LENGTH;) {
    u32 size = 1 + random_next(&seed) % (random_next(&seed) & 7 ? 24 : 300);
    for (; size && at < LENGTH - 1; size--) text[at++] = 'a' + random_next(&seed) % 26;
    text[at++] = 0;
  }
  while (rounds--) {
    u32 at = 0;
    while (at < LENGTH) {
      word size = length(text + at);
      copy_bytes(copy_of + at, text + at, size + 1);
      sum = sum * 31 + (u32)size + (u32)compare(text + at, copy_of + at);
      const char *place = find(text + at, 'q', size);
      sum += place ? (u32)(place - text) : 1;
      at += size + 1;
    }
    copy_bytes(copy_of + (rounds & 31), text, LENGTH);
    sum += (u8)copy_of[rounds & 0xffff];
  }
  return sum;
}

const struct program string_programs[] = {{"strings", strings, 2000}, {0, 0, 0}};
#else
const struct program string_programs[] = {{0, 0, 0}};
#endif
