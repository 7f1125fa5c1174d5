/* COM1 by polling. */
#pragma once
#include "program.h"

#define COM1 0x3f8
#define COM_LINE_STATUS (COM1 + 5)
#define HOLDING_EMPTY 0x20

static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 inb(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline void serial_text(const char *text) {
  for (; *text; text++) {
    while (!(inb(COM_LINE_STATUS) & HOLDING_EMPTY)) {
    }
    outb(COM1, *text);
  }
}
