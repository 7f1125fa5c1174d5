/* Sums over vectors that a compiler for x86-64-v3 makes AVX2, FMA and BMI code of. Prints one checksum a line; Linux, no C library. */
typedef unsigned long u64;
typedef unsigned int u32;

static long call(long n, long a, long b, long c) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return r;
}
static void print(const char *name, u64 v) {
  char line[64];
  int n = 0;
  while (name[n]) line[n] = name[n], n++;
  line[n++] = ' ';
  for (int i = 60; i >= 0; i -= 4) line[n++] = "0123456789abcdef"[(v >> i) & 15];
  line[n++] = '\n';
  call(1, 1, (long)line, n);
}

#define N 4096
static double x[N], y[N], z[N];
static float f[N], g[N];
static int a[N], b[N], idx[N];
static unsigned char s[N];
static u64 w[N];

static u64 bits(double d) {
  u64 v;
  __builtin_memcpy(&v, &d, 8);
  return v;
}

__attribute__((noinline)) static void fill(u32 seed) {
  for (int i = 0; i < N; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (double)(int)seed / 65536.0;
    y[i] = (double)(seed >> 7) * 0.001;
    f[i] = (float)(int)(seed ^ 0x5a5a5a5a) * 0.125f;
    a[i] = (int)seed;
    b[i] = (int)(seed >> 11) - 70000;
    idx[i] = (int)(seed % N);
    s[i] = (unsigned char)(seed >> 13);
    w[i] = (u64)seed << 17 ^ seed;
  }
}
__attribute__((noinline)) static u64 fused(void) {
  for (int i = 0; i < N; i++) z[i] = __builtin_fma(x[i], y[i], z[i] * 0.5);
  for (int i = 0; i < N; i++) g[i] = __builtin_fmaf(f[i], 1.5f, g[i]);
  u64 h = 0;
  for (int i = 0; i < N; i++) h = h * 31 + bits(z[i]) + (u64)(g[i] > 0);
  return h;
}
__attribute__((noinline)) static u64 gathered(void) {
  int sum = 0;
  for (int i = 0; i < N; i++) sum += a[idx[i]] ^ b[i];
  double d = 0;
  for (int i = 0; i < N; i++) z[i] = x[idx[i]] - y[i];
  for (int i = 0; i < N; i++) d = z[i] > d ? z[i] : d;
  return (u64)(u32)sum ^ bits(d);
}
__attribute__((noinline)) static u64 integers(void) {
  u64 h = 0;
  for (int i = 0; i < N; i++) b[i] = a[i] > b[i] ? a[i] * 3 : b[i] >> (a[i] & 31);
  for (int i = 0; i < N; i++) s[i] = (unsigned char)(s[i] > 100 ? s[i] - 7 : s[i] + s[N - 1 - i]);
  for (int i = 0; i < N; i++) h += (u64)(u32)b[i] * s[i];
  return h;
}
__attribute__((noinline)) static u64 bitwise(void) {
  u64 h = 0;
  for (int i = 0; i < N; i++) {
    u64 v = w[i];
    h ^= (v & (v - 1)) + __builtin_popcountl(v) + __builtin_ctzl(v | 1) + __builtin_clzl(v | 1) + (~h & v) + (h << (v & 63)) + (h >> 7 | h << 57);
    h += (u64)((unsigned __int128)h * v >> 64) + __builtin_bswap64(v);
  }
  return h;
}

__attribute__((noreturn)) void _start(void) {
  u64 sums[4] = {0, 0, 0, 0};
  for (u32 round = 0; round < 40; round++) {
    fill(round + 1);
    sums[0] = sums[0] * 7 + fused();
    sums[1] = sums[1] * 7 + gathered();
    sums[2] = sums[2] * 7 + integers();
    sums[3] = sums[3] * 7 + bitwise();
  }
  print("fused", sums[0]);
  print("gathered", sums[1]);
  print("integers", sums[2]);
  print("bitwise", sums[3]);
  call(60, 0, 0, 0);
  __builtin_unreachable();
}
