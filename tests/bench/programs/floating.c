/* Floating point: a matrix product, a simulation of planets, a Fourier sum and 32-bit vectors. Compiled twice, for x87 and for SSE2. */
#include "program.h"

static inline double root(double x) {
#ifdef USE_X87
  __asm__("fsqrt" : "+t"(x));
#else
  __asm__("sqrtsd %0, %0" : "+x"(x));
#endif
  return x;
}

#define SIDE 48
static double left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];
static NOINLINE double matrix(double seed) {
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      left[y][x] = seed + y * 0.25 - x;
      right[y][x] = x * 0.5 + seed / (y + 1);
    }
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      double sum = 0;
      for (int k = 0; k < SIDE; k++) sum += left[y][k] * right[k][x];
      product[y][x] = sum;
    }
  double trace = 0;
  for (int i = 0; i < SIDE; i++) trace += product[i][SIDE - 1 - i];
  return trace;
}

struct body {
  double x, y, z, vx, vy, vz, mass;
};
static struct body bodies[5];
static NOINLINE double planets(int steps) {
  for (int i = 0; i < 5; i++) {
    struct body *b = &bodies[i];
    b->x = i * 1.5, b->y = i * i * 0.3, b->z = 1.0 / (i + 1);
    b->vx = 0.01 * i, b->vy = 0.5 - 0.1 * i, b->vz = 0.02;
    b->mass = i ? 0.001 * i : 10;
  }
  while (steps--) {
    for (int i = 0; i < 5; i++)
      for (int k = i + 1; k < 5; k++) {
        struct body *a = &bodies[i], *b = &bodies[k];
        double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
        double square = dx * dx + dy * dy + dz * dz + 0.01;
        double force = 0.001 / (square * root(square));
        a->vx -= dx * b->mass * force, a->vy -= dy * b->mass * force, a->vz -= dz * b->mass * force;
        b->vx += dx * a->mass * force, b->vy += dy * a->mass * force, b->vz += dz * a->mass * force;
      }
    for (int i = 0; i < 5; i++) bodies[i].x += 0.001 * bodies[i].vx, bodies[i].y += 0.001 * bodies[i].vy, bodies[i].z += 0.001 * bodies[i].vz;
  }
  return bodies[0].x + bodies[1].y + bodies[4].z;
}

/* Points of the Mandelbrot set: comparisons and conversions beside the arithmetic. */
static NOINLINE u32 mandelbrot(double cx) {
  u32 total = 0;
  for (int row = 0; row < 32; row++) {
    double cy = (row - 16) / 14.0, x = 0, y = 0;
    u32 n = 0;
    while (n < 200) {
      double xx = x * x, yy = y * y;
      if (xx + yy > 4.0) break;
      y = 2 * x * y + cy;
      x = xx - yy + cx;
      n++;
    }
    total += n + (u32)(int)(x * 16);
  }
  return total;
}

static float signal[256], filtered[256];
static NOINLINE float filter(int times) {
  for (int i = 0; i < 256; i++) signal[i] = (float)((i * 37) & 63) * 0.125f;
  while (times--) {
    for (int i = 0; i < 252; i++) filtered[i] = signal[i] * 0.5f + signal[i + 1] * 0.25f + signal[i + 2] * 0.125f + signal[i + 3] * 0.0625f;
    for (int i = 0; i < 252; i++) signal[i] = filtered[i] + 0.03125f;
  }
  return signal[100];
}

static u32 bits_of(double value) {
  union {
    double d;
    u32 w[2];
  } both = {.d = value};
  return both.w[0] ^ both.w[1];
}

static u32 floating(u32 rounds) {
  u32 sum = 0;
  for (u32 i = 0; i < rounds; i++) {
    sum = sum * 31 + bits_of(matrix(1.0 + (i & 15)));
    sum = sum * 31 + bits_of(planets(300));
    sum = sum * 31 + mandelbrot((int)(i % 40) * 0.05 - 1.5);
    sum = sum * 31 + bits_of(filter(60));
  }
  return sum;
}

#ifdef USE_X87
const struct program x87_programs[] = {{"x87", floating, 250}, {0, 0, 0}};
#else
const struct program sse_programs[] = {{"sse", floating, 700}, {0, 0, 0}};
#endif
