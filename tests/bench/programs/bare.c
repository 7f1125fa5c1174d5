/* The programs with no system under them. The multiboot command line is `FILE NAMES PERCENT`. Ends by isa-debug-exit. */
#include "ports.h"
#include "runner.h"

#define DEBUG_EXIT 0xf4

void put_text(const char *text) { serial_text(text); }

/* The compiler may call these for loops and initialisers. */
void *memcpy(void *to, const void *from, word count) {
  void *at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count)::"memory");
  return to;
}
void *memset(void *to, int value, word count) {
  void *at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
  return to;
}

static const char *next_word(const char *line) {
  while (*line && *line != ' ') line++;
  while (*line == ' ') line++;
  return line;
}

void bare_main(const char *line) {
  const char *names = next_word(line);
  u32 percent = parse_number(next_word(names));
  if (!percent) percent = 100;
  run_programs(compute_programs, names, percent);
  run_programs(memory_programs, names, percent);
  run_programs(x87_programs, names, percent);
  run_programs(sse_programs, names, percent);
  run_programs(string_programs, names, percent);
  put_text("done\n");
  outb(DEBUG_EXIT, 0);
}
