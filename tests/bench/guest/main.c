/*
 * Bench guest. The command line says what to do: `mips ROUNDS` runs each kernel ROUNDS times with a line on COM1 before and after, `scroll`,
 * `paint` and `idle` never end.
 */
#include "guest.h"

#define COM1 0x3f8

static void put(char c) {
  while (!(inb(COM1 + 5) & 0x20)) {
  }
  outb(COM1, c);
}
static void print(const char *s) {
  while (*s) put(*s++);
}
static void print_hex(u32 value) {
  for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[(value >> shift) & 15]);
}

static const char *find(const char *line, const char *word) {
  for (; *line; line++) {
    const char *a = line, *b = word;
    while (*b && *a == *b) a++, b++;
    if (!*b) return a;
  }
  return 0;
}

static void mips(const char *rounds_text) {
  u32 rounds = 0;
  while (*rounds_text == ' ') rounds_text++;
  while (*rounds_text >= '0' && *rounds_text <= '9') rounds = rounds * 10 + (*rounds_text++ - '0');
  for (u32 i = 0; i < kernel_count; i++) {
    u32 sum = 0;
    print("start ");
    print(kernels[i].name);
    put('\n');
    for (u32 round = 0; round < rounds; round++) sum = sum * 3 + kernels[i].run(round * 0x9e3779b9 + 12345);
    print("end ");
    print(kernels[i].name);
    put(' ');
    print_hex(sum);
    put('\n');
  }
  print("done\n");
}

void guest_main(const char *line) {
  outb(COM1 + 3, 3);
  print("bench guest\n");
  const char *rest = find(line, "mips");
  if (rest) mips(rest);
  else if (find(line, "scroll")) scroll_text();
  else if (find(line, "paint")) paint_screen();
  else if (find(line, "idle")) idle();
  else print("unknown command\n");
}
