/* Work of the memory system: copies with string instructions and with vectors, a sieve, and a list scattered over many pages. */
#include "program.h"

#define MEGABYTE (1u << 20)
static u8 arena[8 * MEGABYTE] __attribute__((aligned(4096)));

static u32 sum_words(const u8 *from, u32 bytes) {
  u32 sum = 0;
  for (u32 i = 0; i < bytes; i += 64) sum = sum * 31 + *(const u32 *)(from + i);
  return sum;
}
static void fill_random(u8 *to, u32 bytes, u32 seed) {
  for (u32 i = 0; i < bytes; i += 4) *(u32 *)(to + i) = random_next(&seed);
}

/* ---- rep-movs: the string instructions, blocks from 64 bytes to 64 KiB, and clearing with rep stos ---- */
static inline void rep_movs(void *to, const void *from, word words) {
  __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words)::"memory");
}
static inline void rep_stos(void *to, u32 value, word words) { __asm__ volatile("rep stosl" : "+D"(to), "+c"(words) : "a"(value) : "memory"); }
static u32 copy_rep(u32 rounds) {
  u8 *from = arena, *to = arena + MEGABYTE;
  u32 sum = 0;
  fill_random(from, 256 * 1024, 17);
  for (u32 i = 0; i < rounds; i++) {
    for (u32 size = 64; size <= 65536; size *= 4)
      for (u32 at = 0; at < 65536; at += size) rep_movs(to + at, from + ((at + i * 4) & 0x1ffff), size / 4);
    rep_stos(to + (i & 15) * 4096, i, 1024);
    sum += sum_words(to, 65536);
  }
  return sum;
}

/* ---- copy: sixteen bytes at a time through vector registers, as C libraries copy; not always aligned ---- */
typedef long long v2 __attribute__((vector_size(16)));
typedef v2 v2_unaligned __attribute__((aligned(1), may_alias));
static NOINLINE void copy_vectors(u8 *to, const u8 *from, u32 bytes) {
  for (; bytes >= 64; bytes -= 64, to += 64, from += 64) {
    v2 a = ((const v2_unaligned *)from)[0], b = ((const v2_unaligned *)from)[1], c = ((const v2_unaligned *)from)[2], d = ((const v2_unaligned *)from)[3];
    ((v2_unaligned *)to)[0] = a;
    ((v2_unaligned *)to)[1] = b;
    ((v2_unaligned *)to)[2] = c;
    ((v2_unaligned *)to)[3] = d;
  }
  for (; bytes; bytes--) *to++ = *from++;
}
static u32 copy(u32 rounds) {
  u8 *from = arena, *to = arena + MEGABYTE;
  u32 sum = 0;
  fill_random(from, 256 * 1024, 18);
  for (u32 i = 0; i < rounds; i++) {
    for (u32 size = 64; size <= 65536; size *= 4)
      for (u32 at = 0; at < 65536; at += size) copy_vectors(to + at, from + ((at + i) & 0x1ffff), size - (i & 3));
    sum += sum_words(to, 65536);
  }
  return sum;
}

/* ---- sieve: byte stores with a stride ---- */
static u32 sieve(u32 rounds) {
  u32 sum = 0;
  u8 *flags = arena;
  for (u32 i = 0; i < rounds; i++) {
    u32 limit = 200000 + i % 7;
    for (u32 k = 0; k < limit; k++) flags[k] = 1;
    for (u32 k = 2; k * k < limit; k++)
      if (flags[k])
        for (u32 m = k * k; m < limit; m += k) flags[m] = 0;
    for (u32 k = 2; k < limit; k++) sum += flags[k];
  }
  return sum;
}

/* ---- chase: one cycle through 4 MiB in random order, 64 bytes apart, so 1024 pages ---- */
struct link {
  struct link *next;
  u32 value;
};
static u32 chase(u32 rounds) {
  u32 count = 4 * MEGABYTE / 64, seed = 5, sum = 0;
  u32 *order = (u32 *)(arena + 4 * MEGABYTE);
  for (u32 i = 0; i < count; i++) order[i] = i;
  for (u32 i = count - 1; i > 0; i--) {
    u32 k = random_next(&seed) % (i + 1), t = order[i];
    order[i] = order[k];
    order[k] = t;
  }
  for (u32 i = 0; i < count; i++) {
    struct link *at = (struct link *)(arena + order[i] * 64);
    at->next = (struct link *)(arena + order[i + 1 < count ? i + 1 : 0] * 64);
    at->value = order[i];
  }
  struct link *at = (struct link *)arena;
  for (u32 i = 0; i < rounds * 10000; i++) {
    sum = sum * 3 + at->value;
    at = at->next;
  }
  return sum;
}

const struct program memory_programs[] = {{"rep-movs", copy_rep, 600}, {"copy", copy, 700}, {"sieve", sieve, 1300}, {"chase", chase, 1500}, {0, 0, 0}};
