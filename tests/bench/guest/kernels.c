/*
 * Integer kernels: each is a small piece of real work, compiled as any C program. Their time per unit is within a factor of a few of each
 * other on a real processor.
 */
#include "guest.h"

static u32 random_state;
static u32 next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

/* ---- alu: hashing and bit tricks, everything in registers ---- */
static u32 alu(u32 seed) {
  u32 a = seed, b = 0x9e3779b9, c = 0x85ebca6b;
  for (u32 i = 0; i < 60000; i++) {
    a += b;
    b ^= (a << 7) | (a >> 25);
    c = c * 33 + (b >> 3);
    if (c & 1) a ^= c;
    else b += i;
    c ^= c >> 15;
  }
  return a ^ b ^ c;
}

/* ---- memory: copy, sum and sieve over arrays larger than a first-level cache ---- */
static u32 words[32768];
static u8 sieve[65536];
static u32 memory(u32 seed) {
  u32 sum = seed;
  for (u32 i = 0; i < 32768; i++) words[i] = sum += i * 3;
  for (u32 i = 0; i + 64 < 32768; i++) words[i] = words[i + 64] + (words[i] >> 1);
  for (u32 i = 0; i < 65536; i++) sieve[i] = 1;
  for (u32 i = 2; i < 256; i++)
    if (sieve[i])
      for (u32 k = i * i; k < 65536; k += i) sieve[k] = 0;
  for (u32 i = 2; i < 65536; i++) sum += sieve[i];
  for (u32 i = 0; i < 32768; i++) sum ^= words[i];
  return sum;
}

/* ---- calls: recursion, function pointers and a switch ---- */
static __attribute__((noinline)) u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static __attribute__((noinline)) u32 op_add(u32 a, u32 b) { return a + b; }
static __attribute__((noinline)) u32 op_xor(u32 a, u32 b) { return a ^ b; }
static __attribute__((noinline)) u32 op_sub(u32 a, u32 b) { return a - b; }
static __attribute__((noinline)) u32 op_mul(u32 a, u32 b) { return a * (b | 1); }
static u32 (*volatile const operations[4])(u32, u32) = {op_add, op_xor, op_sub, op_mul};
static u32 calls(u32 seed) {
  u32 value = fibonacci(18) + seed;
  random_state = seed | 1;
  for (u32 i = 0; i < 12000; i++) {
    u32 r = next_random();
    value = operations[r & 3](value, r);
    switch ((r >> 8) & 7) {
      case 0: value += 1; break;
      case 1: value ^= r; break;
      case 2: value = (value << 3) | (value >> 29); break;
      case 3: value -= i; break;
      case 4: value ^= value >> 11; break;
      case 5: value *= 5; break;
      case 6: value = ~value; break;
      default: value += r >> 3; break;
    }
  }
  return value;
}

/* ---- sort: heap sort of records through pointers ---- */
struct item {
  u32 key;
  u32 payload;
};
static struct item items[4096];
static struct item *order[4096];
static void sift(u32 root, u32 count) {
  for (;;) {
    u32 child = root * 2 + 1;
    if (child >= count) return;
    if (child + 1 < count && order[child]->key < order[child + 1]->key) child++;
    if (order[root]->key >= order[child]->key) return;
    struct item *swap = order[root];
    order[root] = order[child];
    order[child] = swap;
    root = child;
  }
}
static u32 sort(u32 seed) {
  random_state = seed | 1;
  for (u32 i = 0; i < 4096; i++) {
    items[i].key = next_random();
    items[i].payload = i;
    order[i] = &items[i];
  }
  for (u32 i = 2048; i-- > 0;) sift(i, 4096);
  for (u32 end = 4095; end > 0; end--) {
    struct item *swap = order[0];
    order[0] = order[end];
    order[end] = swap;
    sift(0, end);
  }
  u32 sum = 0;
  for (u32 i = 1; i < 4096; i++) sum = sum * 31 + order[i]->payload + (order[i - 1]->key <= order[i]->key);
  return sum;
}

/* ---- text: an LZ77 packer and unpacker over generated text, byte by byte ---- */
static u8 plain[16384], packed[24576], unpacked[16384];
static u16 heads[4096];
static u32 text(u32 seed) {
  static const char *const syllables[16] = {"the ", "ing ", "of ", "and", "ver", "com", "pute", "mach", "ine ", "virt", "ual ", "is ", "a ", "re", "sult", ". "};
  random_state = seed | 1;
  u32 length = 0;
  while (length < sizeof plain - 8)
    for (const char *s = syllables[(next_random() >> 9) & 15]; *s; s++) plain[length++] = *s;
  for (u32 i = 0; i < 4096; i++) heads[i] = 0xffff;
  u32 out = 0;
  for (u32 at = 0; at < length;) {
    u32 best = 0, from = 0;
    if (at + 3 < length) {
      u32 hash = ((plain[at] << 6) ^ (plain[at + 1] << 3) ^ plain[at + 2]) & 4095;
      from = heads[hash];
      heads[hash] = at;
      if (from != 0xffff)
        while (best < 255 && at + best < length && plain[from + best] == plain[at + best]) best++;
    }
    if (best >= 4) {
      packed[out++] = 1;
      packed[out++] = best;
      packed[out++] = from & 255;
      packed[out++] = from >> 8;
      at += best;
    } else {
      packed[out++] = 0;
      packed[out++] = plain[at++];
    }
    if (out > sizeof packed - 8) break;
  }
  u32 back = 0;
  for (u32 in = 0; in < out;) {
    if (packed[in] == 1) {
      u32 count = packed[in + 1], from = packed[in + 2] | (packed[in + 3] << 8);
      in += 4;
      while (count--) unpacked[back++] = unpacked[from++];
    } else {
      unpacked[back++] = packed[in + 1];
      in += 2;
    }
  }
  u32 crc = ~0u;
  for (u32 i = 0; i < back; i++) {
    crc ^= unpacked[i];
    for (u32 bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc ^ out;
}

/* ---- matrix: 16-bit data, 32-bit sums ---- */
static short left[48][48], right[48][48];
static u32 product[48][48];
static u32 matrix(u32 seed) {
  for (u32 y = 0; y < 48; y++)
    for (u32 x = 0; x < 48; x++) {
      left[y][x] = (short)(seed + y * 7 + x);
      right[y][x] = (short)(seed ^ (y * 3 + x * 5));
    }
  for (u32 y = 0; y < 48; y++)
    for (u32 x = 0; x < 48; x++) {
      u32 sum = 0;
      for (u32 k = 0; k < 48; k++) sum += left[y][k] * right[k][x];
      product[y][x] = sum;
    }
  u32 sum = 0;
  for (u32 y = 0; y < 48; y++)
    for (u32 x = 0; x < 48; x++) sum = sum * 17 + product[y][x];
  return sum;
}

const struct kernel kernels[] = {{"alu", alu}, {"memory", memory}, {"calls", calls}, {"sort", sort}, {"text", text}, {"matrix", matrix}};
const u32 kernel_count = sizeof kernels / sizeof kernels[0];
