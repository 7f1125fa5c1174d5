/*
 * What a desktop does with a display that changes its preferred size: takes the connector's first mode whenever it is another one, with a picture of that
 * size, and shows a cursor. For x86-64 Linux without a C library; structures and numbers are those of the kernel's <drm/drm_mode.h>.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

enum { WRITE = 1, OPEN = 2, MMAP = 9, MUNMAP = 11, IOCTL = 16, NANOSLEEP = 35, EXIT = 60 };

static void say(const char *text) {
  long length = 0;
  while (text[length]) length++;
  call(WRITE, 1, (long)text, length, 0, 0, 0);
}

static void sayNumber(u32 number) {
  char digits[12];
  int at = 11;
  digits[at] = 0;
  do digits[--at] = '0' + number % 10;
  while ((number /= 10) != 0);
  say(digits + at);
}

static int card;

static void drm(u32 number, void *argument, u32 size, const char *what) {
  if (call(IOCTL, card, 0xc0006400u | size << 16 | number, (long)argument, 0, 0, 0) == 0) return;
  say("FAILED ");
  say(what);
  say("\n");
  call(EXIT, 1, 0, 0, 0, 0, 0);
}
#define DRM(number, argument) drm(number, &argument, sizeof argument, #argument)

struct Mode {
  u32 clock;
  u16 width, hsyncStart, hsyncEnd, htotal, hskew, height, vsyncStart, vsyncEnd, vtotal, vscan;
  u32 refresh, flags, type;
  char name[32];
};
struct Resources {
  u64 framebuffersAt, crtcsAt, connectorsAt, encodersAt;
  u32 framebuffers, crtcs, connectors, encoders, minWidth, maxWidth, minHeight, maxHeight;
};
struct Connector {
  u64 encodersAt, modesAt, propertiesAt, valuesAt;
  u32 modes, properties, encoders, encoder, id, type, typeId, connection, mmWidth, mmHeight, subpixel, padding;
};
struct Crtc {
  u64 connectorsAt;
  u32 connectors, id, framebuffer, x, y, gamma, valid;
  struct Mode mode;
};
struct Dumb {
  u32 height, width, bits, flags, handle, pitch;
  u64 size;
};
struct Framebuffer {
  u32 id, width, height, pitch, bits, depth, handle;
};
struct Place {
  u32 handle, padding;
  u64 offset;
};
struct CursorImage {
  u32 flags, crtc;
  int x, y;
  u32 width, height, handle;
};

/** A picture in memory that both see. */
static u32 *picture(u32 width, u32 height, struct Dumb *dumb) {
  *dumb = (struct Dumb){height, width, 32, 0, 0, 0, 0};
  DRM(0xb2, *dumb);
  struct Place place = {dumb->handle, 0, 0};
  DRM(0xb3, place);
  return (u32 *)call(MMAP, 0, dumb->size, 3, 1, card, place.offset);
}

static struct Mode modes[64];

__attribute__((force_align_arg_pointer)) void _start(void) {
  card = call(OPEN, (long)"/dev/dri/card0", 2, 0, 0, 0, 0);
  u32 crtc = 0, connectorId = 0;
  struct Resources resources = {0, (u64)&crtc, (u64)&connectorId, 0, 0, 1, 1, 0, 0, 0, 0, 0};
  DRM(0xa0, resources);
  struct Dumb cursorImage;
  u32 *cursor = picture(64, 64, &cursorImage);
  for (int at = 0; at < 64 * 64; at++) cursor[at] = (at & 63) < 8 && at < 8 * 64 ? 0xffffffff : 0;
  u32 width = 0, height = 0;
  struct Dumb old = {0, 0, 0, 0, 0, 0, 0};
  struct Framebuffer oldFramebuffer = {0, 0, 0, 0, 0, 0, 0};
  for (;;) {
    struct Connector connector = {0};
    connector.id = connectorId;
    /* Without room for modes it looks at the display again. */
    DRM(0xa7, connector);
    u32 count = connector.modes;
    connector = (struct Connector){0};
    connector.id = connectorId;
    connector.modesAt = (u64)modes;
    connector.modes = 64;
    if (count > 0 && count <= 64) DRM(0xa7, connector);
    if (count > 0 && (modes[0].width != width || modes[0].height != height)) {
      width = modes[0].width;
      height = modes[0].height;
      struct Dumb dumb;
      u32 *pixels = picture(width, height, &dumb);
      for (u32 y = 0; y < height; y++)
        for (u32 x = 0; x < width; x++) pixels[y * dumb.pitch / 4 + x] = (x & 255) << 16 | (y & 255) << 8 | (x >> 8) << 4 | y >> 8;
      call(MUNMAP, (long)pixels, dumb.size, 0, 0, 0, 0);
      struct Framebuffer framebuffer = {0, width, height, dumb.pitch, 32, 24, dumb.handle};
      DRM(0xae, framebuffer);
      struct Crtc set = {(u64)&connectorId, 1, crtc, framebuffer.id, 0, 0, 0, 1, modes[0]};
      DRM(0xa2, set);
      struct CursorImage show = {3, crtc, (int)width - 100, 50, 64, 64, cursorImage.handle};
      DRM(0xa3, show);
      if (old.handle) {
        DRM(0xaf, oldFramebuffer.id);
        DRM(0xb4, old.handle);
      }
      old = dumb;
      oldFramebuffer = framebuffer;
      say("MODE ");
      sayNumber(width);
      say("x");
      sayNumber(height);
      say("\n");
    }
    long pause[2] = {0, 100000000};
    call(NANOSLEEP, (long)pause, 0, 0, 0, 0, 0);
  }
}
