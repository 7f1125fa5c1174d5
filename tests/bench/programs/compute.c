/* Work of the processor alone: arithmetic, branches, calls, a hash and a sort. The data fit the first-level caches. */
#include "program.h"

/* ---- integer: adds, multiplications, shifts and rotations in registers, 32 and 64 bits wide ---- */
static u32 integer(u32 rounds) {
  u32 a = 1, b = 0x9e3779b9, c = 0x85ebca6b;
  u64 wide = 0x0123456789abcdefULL;
  for (u32 i = 0; i < rounds * 100000; i++) {
    a += b;
    b ^= (a << 7) | (a >> 25);
    c = c * 33 + (b >> 3);
    wide = wide * 6364136223846793005ULL + c;
    a ^= (u32)(wide >> 40);
    b -= i & c;
    c ^= c >> 15;
    a |= b == c;
  }
  return a ^ b ^ c ^ (u32)wide ^ (u32)(wide >> 32);
}

/* ---- branches: a tokenizer and calculator over generated source text; the outcomes depend on the data ---- */
static char text[8192];
static void write_text(u32 seed) {
  u32 at = 0;
  while (at < sizeof text - 16) {
    u32 r = random_next(&seed);
    switch (r & 7) {
      case 0: case 1: case 2:
        for (u32 n = 1 + ((r >> 3) & 3); n--;) text[at++] = '0' + ((r >>= 4) % 10);
        break;
      case 3: case 4:
        for (u32 n = 1 + ((r >> 3) & 7); n--;) text[at++] = 'a' + ((r = r * 5 + 1) >> 16) % 26;
        break;
      case 5: text[at++] = ' '; break;
      case 6: text[at++] = "+-*/()=<"[(r >> 3) & 7]; break;
      default: text[at++] = (r & 8) ? '\n' : ';';
    }
  }
  text[at] = 0;
}
static NOINLINE u32 scan_text(const char *p, u32 sum) {
  u32 depth = 0, line = 1, value = 0;
  for (;;) {
    char c = *p++;
    if (c >= '0' && c <= '9') {
      value = c - '0';
      while (*p >= '0' && *p <= '9') value = value * 10 + (*p++ - '0');
      sum += value;
    } else if (c >= 'a' && c <= 'z') {
      u32 name = c;
      while (*p >= 'a' && *p <= 'z') name = name * 31 + *p++;
      if (name & 1) sum ^= name;
      else if (name % 3 == 0) sum += line;
      else sum = (sum << 1) | (sum >> 31);
    } else
      switch (c) {
        case '+': sum += value; break;
        case '-': sum -= value; break;
        case '*': sum = sum * (value | 1); break;
        case '/': if (value) sum += 1000000 / value; break;
        case '(': depth++; break;
        case ')': if (depth) depth--; else sum++; break;
        case '=': if (sum > value) sum -= depth; break;
        case '<': if ((int)sum < (int)value) sum ^= 0x55; break;
        case '\n': line++; break;
        case 0: return sum + depth + line;
        default: if (depth > 40) depth = 0;
      }
  }
}
static u32 branches(u32 rounds) {
  u32 sum = 0;
  for (u32 i = 0; i < rounds; i++) {
    if (i % 16 == 0) write_text(12345 + i);
    sum = scan_text(text, sum);
  }
  return sum;
}

/* ---- calls: recursion with arguments and results on the stack or in registers as the ABI has it ---- */
static NOINLINE u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static NOINLINE u32 ackermann(u32 m, u32 n) { return m == 0 ? n + 1 : ackermann(m - 1, n ? ackermann(m, n - 1) : 1); }
static NOINLINE u32 takeuchi(int x, int y, int z) {
  return y < x ? takeuchi(takeuchi(x - 1, y, z), takeuchi(y - 1, z, x), takeuchi(z - 1, x, y)) : (u32)z;
}
static u32 calls(u32 rounds) {
  u32 sum = 0;
  for (u32 i = 0; i < rounds; i++) sum = sum * 3 + fibonacci(20 + (i & 3)) + ackermann(2, 60 + (i & 7)) + takeuchi(12, 6, i & 3);
  return sum;
}

/* ---- indirect: an object tree with virtual methods, and a bytecode interpreter with a jump table ---- */
struct node;
struct methods {
  u32 (*value)(const struct node *, u32);
  u32 (*weight)(const struct node *);
};
struct node {
  const struct methods *methods;
  const struct node *left, *right;
  u32 number;
};
static NOINLINE u32 leaf_value(const struct node *n, u32 x) { return n->number ^ x; }
static NOINLINE u32 add_value(const struct node *n, u32 x) { return n->left->methods->value(n->left, x) + n->right->methods->value(n->right, x + 1); }
static NOINLINE u32 xor_value(const struct node *n, u32 x) { return n->left->methods->value(n->left, x) ^ n->right->methods->value(n->right, x * 3); }
static NOINLINE u32 pick_value(const struct node *n, u32 x) {
  const struct node *chosen = (x + n->number) & 1 ? n->left : n->right;
  return chosen->methods->value(chosen, x >> 1) + n->number;
}
static NOINLINE u32 leaf_weight(const struct node *n) { return n->number & 3; }
static NOINLINE u32 inner_weight(const struct node *n) { return 1 + n->left->methods->weight(n->left) + n->right->methods->weight(n->right); }
static const struct methods leaf = {leaf_value, leaf_weight}, add = {add_value, inner_weight}, exor = {xor_value, inner_weight}, pick = {pick_value, inner_weight};
static struct node nodes[255];
static u8 bytecode[512];
static NOINLINE u32 interpret(u32 a, u32 steps) {
  u32 b = 1, pc = 0;
  while (steps--) {
    u32 op = bytecode[pc];
    pc = (pc + 1) & 511;
    switch (op & 15) {
      case 0: a += b; break;
      case 1: b = a ^ (a >> 3); break;
      case 2: a = (a << 5) | (a >> 27); break;
      case 3: b += op; break;
      case 4: a *= 5; break;
      case 5: if (a & 16) pc = (pc + 3) & 511; break;
      case 6: a -= b >> 1; break;
      case 7: b ^= 0xa5a5; break;
      case 8: a = ~a; break;
      case 9: { u32 t = a; a = b; b = t; } break;
      case 10: b <<= 1; break;
      case 11: a ^= steps; break;
      case 12: a += a << 10; break;
      case 13: b |= 1; break;
      case 14: if ((b & 7) == 3) pc = b & 511; break;
      default: a -= 0x3c6ef372;
    }
  }
  return a ^ b;
}
static u32 indirect(u32 rounds) {
  static const struct methods *const kinds[4] = {&add, &exor, &pick, &add};
  u32 state = 99, sum = 0;
  for (u32 i = 0; i < 255; i++) {
    struct node *n = &nodes[i];
    n->number = random_next(&state);
    n->methods = i < 127 ? kinds[n->number >> 9 & 3] : &leaf;
    n->left = i < 127 ? &nodes[2 * i + 1] : 0;
    n->right = i < 127 ? &nodes[2 * i + 2] : 0;
  }
  for (u32 i = 0; i < sizeof bytecode; i++) bytecode[i] = random_next(&state) >> 11;
  for (u32 i = 0; i < rounds; i++) {
    for (u32 k = 0; k < 40; k++) sum += nodes[0].methods->value(&nodes[0], sum + k);
    sum ^= nodes[0].methods->weight(&nodes[0]);
    sum += interpret(sum, 5000);
  }
  return sum;
}

/* ---- hash: SHA-256 (FIPS 180-4) over a buffer ---- */
static const u32 sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static inline u32 rotate(u32 x, u32 by) { return (x >> by) | (x << (32 - by)); }
static NOINLINE void sha_block(u32 state[8], const u8 *bytes) {
  u32 w[64];
  for (u32 i = 0; i < 16; i++) w[i] = ((u32)bytes[4 * i] << 24) | (bytes[4 * i + 1] << 16) | (bytes[4 * i + 2] << 8) | bytes[4 * i + 3];
  for (u32 i = 16; i < 64; i++)
    w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3)) +
           (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10));
  u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (u32 i = 0; i < 64; i++) {
    u32 t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + sha_constants[i] + w[i];
    u32 t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}
static u32 hash(u32 rounds) {
  static u8 buffer[8192];
  u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}, seed = 7;
  for (u32 i = 0; i < sizeof buffer; i++) buffer[i] = random_next(&seed);
  for (u32 i = 0; i < rounds; i++)
    for (u32 at = 0; at < sizeof buffer; at += 64) sha_block(state, buffer + at);
  return state[0] ^ state[3] ^ state[7];
}

/* ---- sort: a quicksort over elements of any size with a comparison function, as the C library's qsort ---- */
typedef int comparison(const void *, const void *);
static void swap_elements(u8 *a, u8 *b, u32 size) {
  for (; size >= 4; size -= 4, a += 4, b += 4) {
    u32 t = *(u32 *)a;
    *(u32 *)a = *(u32 *)b;
    *(u32 *)b = t;
  }
}
static NOINLINE void quicksort(u8 *base, u32 count, u32 size, comparison *compare) {
  while (count > 8) {
    u8 *low = base, *high = base + (count - 1) * size;
    swap_elements(base, base + (count / 2) * size, size);
    for (;;) {
      do low += size;
      while (low < high && compare(low, base) < 0);
      while (compare(high, base) > 0) high -= size;
      if (low >= high) break;
      swap_elements(low, high, size);
      high -= size;
    }
    swap_elements(base, high, size);
    u32 left = (u32)(high - base) / size;
    quicksort(base, left, size, compare);
    base = high + size;
    count -= left + 1;
  }
  for (u8 *p = base + size; count > 1 && p < base + count * size; p += size)
    for (u8 *q = p; q > base && compare(q - size, q) > 0; q -= size) swap_elements(q - size, q, size);
}
struct record {
  u32 key, payload;
};
static NOINLINE int by_key(const void *a, const void *b) {
  u32 x = ((const struct record *)a)->key, y = ((const struct record *)b)->key;
  return x < y ? -1 : x > y;
}
static NOINLINE int by_payload(const void *a, const void *b) {
  u32 x = ((const struct record *)a)->payload, y = ((const struct record *)b)->payload;
  return x < y ? -1 : x > y;
}
static struct record records[3000];
static u32 sort(u32 rounds) {
  u32 seed = 4711, sum = 0, count = sizeof records / sizeof records[0];
  for (u32 i = 0; i < rounds; i++) {
    for (u32 k = 0; k < count; k++) records[k].key = random_next(&seed) >> (i & 7), records[k].payload = seed * 7;
    quicksort((u8 *)records, count, sizeof records[0], by_key);
    for (u32 k = 1; k < count; k++) sum = sum * 31 + records[k].key + (records[k - 1].key <= records[k].key);
    quicksort((u8 *)records, count, sizeof records[0], by_payload);
    sum ^= records[count / 2].key + records[count - 1].payload;
  }
  return sum;
}

const struct program compute_programs[] = {
    {"integer", integer, 2000}, {"branches", branches, 20000}, {"calls", calls, 2300}, {"indirect", indirect, 14000}, {"hash", hash, 6500}, {"sort", sort, 800}, {0, 0, 0}};
