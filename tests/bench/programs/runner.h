/* What every way of running the programs has in common: choosing them by name and reporting them. */
#pragma once
#include "program.h"

/* Given by the way of running. */
void put_text(const char *text);

static inline u32 text_equal(const char *a, const char *b, u32 count) {
  for (; count; a++, b++, count--)
    if (*a != *b) return 0;
  return *a == 0;
}

/* Is `name` in a list such as `sort,hash`, or the list `all`? */
static inline u32 chosen(const char *list, const char *name) {
  while (*list && *list != ' ') {
    const char *end = list;
    while (*end && *end != ',' && *end != ' ') end++;
    if (text_equal(name, list, end - list) || text_equal("all", list, end - list)) return 1;
    list = *end == ',' ? end + 1 : end;
  }
  return 0;
}

static inline u32 parse_number(const char *text) {
  u32 value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
  return value;
}

static inline void run_programs(const struct program *list, const char *names, u32 percent) {
  for (; list->name; list++) {
    if (!chosen(names, list->name)) continue;
    u32 rounds = list->rounds * percent / 100;
    put_text("start ");
    put_text(list->name);
    put_text("\n");
    u32 sum = list->run(rounds ? rounds : 1);
    char digits[10] = " ";
    for (u32 i = 0; i < 8; i++) digits[1 + i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
    digits[9] = 0;
    put_text("end ");
    put_text(list->name);
    put_text(digits);
    put_text("\n");
  }
}
