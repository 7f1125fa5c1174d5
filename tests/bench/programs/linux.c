/*
 * The programs under Linux. As init (process 1) of a guest the arguments are `NAMES PERCENT`; it reports on COM1, whose ports it drives itself, and
 * turns the machine off. Natively they are `native NAMES PERCENT [ROOT]`: it reports on standard output, and takes the
 * folder ROOT, which holds a copy of this program as /init, for its root. With `xN` it ends at once with code N.
 */
#include "linux.h"
#include "ports.h"
#include "runner.h"

#define REBOOT_MAGIC 0xfee1dead
#define REBOOT_MAGIC_2 672274793
#define REBOOT_POWER_OFF 0x4321fedc

const char *own_path;
static u32 native;

void put_text(const char *text) {
  u32 length = 0;
  while (text[length]) length++;
  if (native) call3(SYS_write, 1, text, length);
  else serial_text(text);
}

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

int linux_main(int count, char **arguments, char **environment) {
  (void)environment;
  own_path = arguments[0];
  if (count == 2 && arguments[1][0] == 'x') return arguments[1][1] - '0';
  native = count > 1 && text_equal("native", arguments[1], 6);
  const char *names = count > 1 + (int)native ? arguments[1 + native] : "all";
  u32 percent = count > 2 + (int)native ? parse_number(arguments[2 + native]) : 100;
  if (!native) {
    call3(SYS_ioperm, COM1, 8, 1);
    call2(SYS_mkdir, "/tmp", 0700);
  }
  if (native && count > 4) {
    if (call1(SYS_chroot, arguments[4]) < 0) return 1;
    call1(SYS_chdir, "/");
    own_path = "/init";
  }
  put_text("init\n");
  run_programs(compute_programs, names, percent);
  run_programs(memory_programs, names, percent);
  run_programs(x87_programs, names, percent);
  run_programs(sse_programs, names, percent);
  run_programs(string_programs, names, percent);
  run_programs(system_programs, names, percent);
  put_text("done\n");
  if (!native) call4(SYS_reboot, REBOOT_MAGIC, REBOOT_MAGIC_2, REBOOT_POWER_OFF, 0);
  return 0;
}
