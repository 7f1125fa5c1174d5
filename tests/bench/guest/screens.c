/* Guests of the display benches, paced by the timer so that every machine shows the same changes at the same times. */
#include "guest.h"

volatile u32 ticks;
extern void tick_entry(void);

#define TICKS_PER_SECOND 100
#define PIT_HZ 1193182

static struct {
  u16 offset_low, selector;
  u8 zero, type;
  u16 offset_high;
} __attribute__((packed)) idt[256];

/* IRQ 0 at vector 32, every other line masked. */
static void start_ticks(u32 rate) {
  u32 entry = (u32)tick_entry;
  for (u32 i = 0; i < 256; i++) {
    idt[i].offset_low = entry;
    idt[i].offset_high = entry >> 16;
    idt[i].selector = 8;
    idt[i].type = 0x8e;
  }
  struct {
    u16 limit;
    u32 base;
  } __attribute__((packed)) pointer = {sizeof idt - 1, (u32)idt};
  __asm__ volatile("lidt %0" ::"m"(pointer));
  outb(0x20, 0x11), outb(0xa0, 0x11);
  outb(0x21, 32), outb(0xa1, 40);
  outb(0x21, 4), outb(0xa1, 2);
  outb(0x21, 1), outb(0xa1, 1);
  outb(0x21, 0xfe), outb(0xa1, 0xff);
  u32 divisor = rate ? PIT_HZ / rate : 0;
  outb(0x43, 0x34);
  outb(0x40, divisor), outb(0x40, divisor >> 8);
  __asm__ volatile("sti");
}

static void wait_until(u32 tick) {
  while ((int)(ticks - tick) < 0) __asm__ volatile("hlt");
}

/* The slowest rate of the timer, 18.2 Hz, as a DOS machine at its prompt. */
void idle(void) {
  start_ticks(0);
  for (;;) __asm__ volatile("hlt");
}

/* 80 x 25 text, one new line of listing 20 times a second. */
void scroll_text(void) {
  volatile u16 *screen = (volatile u16 *)0xb8000;
  static const char pattern[] = "drwxr-xr-x  2 root root    4096 Jan  1 00:00 usr/share/doc/package-";
  start_ticks(TICKS_PER_SECOND);
  u32 next = ticks;
  for (u32 line = 0;; line++) {
    for (u32 i = 0; i < 80 * 24; i++) screen[i] = screen[i + 80];
    volatile u16 *row = screen + 80 * 24;
    u32 column = 0;
    for (const char *s = pattern; *s; s++) row[column++] = 0x0700 | *s;
    for (u32 digit = 100000; digit; digit /= 10) row[column++] = 0x0a00 | ('0' + line / digit % 10);
    while (column < 80) row[column++] = 0x0720;
    wait_until(next += TICKS_PER_SECOND / 20);
  }
}

/* 640 x 480 x 32 by the Bochs VBE ports; the whole picture changes ten times a second. */
#define VBE_INDEX 0x1ce
#define VBE_DATA 0x1d0
static void vbe(u16 index, u16 value) {
  outw(VBE_INDEX, index);
  outw(VBE_DATA, value);
}

/* Base address register 0 of the first PCI display controller. */
static u32 framebuffer(void) {
  for (u32 device = 0; device < 32; device++) {
    outl(0xcf8, 0x80000008 | (device << 11));
    if (inl(0xcfc) >> 24 != 3) continue;
    outl(0xcf8, 0x80000010 | (device << 11));
    return inl(0xcfc) & 0xfffffff0;
  }
  return 0;
}

void paint_screen(void) {
  u32 *pixels = (u32 *)framebuffer();
  vbe(4, 0), vbe(1, 640), vbe(2, 480), vbe(3, 32), vbe(4, 0x41);
  start_ticks(TICKS_PER_SECOND);
  u32 next = ticks;
  for (u32 frame = 0;; frame++) {
    /* Coloured bars with a gradient: neither flat nor noise, as a window being dragged or a film's title. */
    for (u32 y = 0; y < 480; y++) {
      u32 row = ((y + frame * 8) & 0xff) << 8;
      u32 *at = pixels + y * 640;
      for (u32 x = 0; x < 640; x++) at[x] = row | (((x + frame * 16) & 0xf0) << 16) | ((x ^ frame) & 0xc0);
    }
    wait_until(next += TICKS_PER_SECOND / 10);
  }
}
