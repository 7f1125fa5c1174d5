/* Work of the system: calls, page faults, processes, and two foreign programs that the initramfs carries. */
#include "linux.h"

/* ---- syscalls: the cheapest call, and one byte through a pipe and back ---- */
static u32 syscalls(u32 rounds) {
  int ends[2];
  u32 done = 0;
  u8 byte = 0;
  call1(SYS_pipe, ends);
  for (u32 i = 0; i < rounds; i++) {
    for (u32 k = 0; k < 800; k++) done += call0(SYS_getppid) >= 0;
    for (u32 k = 0; k < 100; k++) {
      byte += k;
      done += call3(SYS_write, ends[1], &byte, 1) == 1;
      done += call3(SYS_read, ends[0], &byte, 1) == 1;
    }
  }
  call1(SYS_close, ends[0]);
  call1(SYS_close, ends[1]);
  return done + byte;
}

/* ---- faults: fresh memory, one byte of each page ---- */
#define FAULT_BYTES (4u << 20)
#define PROT_READ_WRITE 3
#define MAP_PRIVATE_ANONYMOUS 0x22
static u32 faults(u32 rounds) {
  u32 sum = 0;
  for (u32 i = 0; i < rounds; i++) {
    u8 *memory = (u8 *)system_call(SYS_mmap, 0, FAULT_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    for (u32 at = 0; at < FAULT_BYTES; at += 4096) {
      memory[at + (i & 4095)] += at >> 12;
      sum += memory[at + (i & 4095)] + memory[at + 7];
    }
    call2(SYS_munmap, memory, FAULT_BYTES);
  }
  return sum;
}

/* ---- processes: fork, execute, wait ---- */
static u32 spawn(const char *file, const char *const *arguments, const char *input, const char *output) {
  static const char *const environment[] = {"PATH=/bin", 0};
  int status = -1;
  long child = call0(SYS_fork);
  if (child == 0) {
    if (input) call2(SYS_dup2, call3(SYS_open, input, 0, 0), 0);
    if (output) call2(SYS_dup2, call3(SYS_open, output, 01 | 0100 | 01000 /* write, create, truncate */, 0600), 1);
    call3(SYS_execve, file, arguments, environment);
    call1(SYS_exit, 127);
  }
  if (child < 0 || call4(SYS_wait4, child, &status, 0, 0) != child) return ~0u;
  return (u32)status >> 8 & 255;
}
static u32 processes(u32 rounds) {
  u32 sum = 0;
  for (u32 i = 0; i < rounds; i++) {
    char code[4] = {'x', '0' + i % 10, 0, 0};
    const char *const arguments[] = {own_path, code, 0};
    sum = sum * 3 + spawn(own_path, arguments, 0, 0);
  }
  return sum;
}

/* Sum over a file; `skip` bytes at its start don't count. */
static u8 buffer[65536];
static u32 file_sum(const char *path, u32 skip) {
  long file = call3(SYS_open, path, 0, 0), count;
  u32 sum = 0;
  if (file < 0) return 0xdead;
  call3(SYS_lseek, file, skip, 0);
  while ((count = call3(SYS_read, file, buffer, sizeof buffer)) > 0)
    for (long i = 0; i < count; i++) sum = (sum << 5 | sum >> 27) + buffer[i];
  call1(SYS_close, file);
  return sum;
}

/* ---- gzip: busybox packs generated text ---- */
#define GZIP_HEADER 10
static const char *gzip_file = "/bin/busybox";
static u32 gzip(u32 rounds) {
  static const char *const words[16] = {"the ", "ing ", "of ", "and ", "ver", "com", "pute", "mach", "ine ", "virt", "ual ", "is ", "a ", "re", "sult", ".\n"};
  u32 seed = 31, sum = 0;
  for (u32 i = 0; i < rounds; i++) {
    long file = call3(SYS_open, "/tmp/bench-text", 01 | 0100 | 01000, 0600);
    for (u32 block = 0; block < 4; block++) {
      u32 at = 0;
      while (at < sizeof buffer - 16)
        for (const char *s = words[random_next(&seed) >> 9 & 15]; *s; s++) buffer[at++] = *s;
      call3(SYS_write, file, buffer, at);
    }
    call1(SYS_close, file);
    const char *const arguments[] = {"gzip", "-c", 0};
    sum += spawn(gzip_file, arguments, "/tmp/bench-text", "/tmp/bench-packed");
    sum = sum * 3 + file_sum("/tmp/bench-packed", GZIP_HEADER);
  }
  return sum;
}

/* ---- compiler: GCC's C compiler proper turns one of these files into assembly ---- */
static const char *compiler_file = "/gcc/cc1", *compiler_input = "/gcc/input.i";
static u32 compiler(u32 rounds) {
  u32 sum = 0;
  for (u32 i = 0; i < rounds; i++) {
    const char *const arguments[] = {"cc1", "-quiet", "-O2", "-ffreestanding", "-fno-ident", "-o", "/tmp/bench-assembly", compiler_input, 0};
    sum += spawn(compiler_file, arguments, 0, 0);
    sum = sum * 3 + file_sum("/tmp/bench-assembly", 0);
  }
  return sum;
}

const struct program system_programs[] = {
    {"syscalls", syscalls, 1500}, {"faults", faults, 150}, {"processes", processes, 600}, {"gzip", gzip, 12}, {"compiler", compiler, 1}, {0, 0, 0}};
