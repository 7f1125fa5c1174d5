/*
 * Executes single instructions on the host processor: reads `struct test` records on standard input, writes a `struct result` for each.
 * 64-bit host code, so that only encodings that mean the same in 32-bit code make sense; memory operands must lie in the page at 0x208000.
 * x86-64 Linux with gcc only.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <signal.h>
#include <setjmp.h>
struct test { uint32_t gpr[8]; uint32_t flags; uint32_t len; uint8_t code[16]; uint8_t data[64]; };
struct result { uint32_t gpr[8]; uint32_t flags; uint32_t fault; uint8_t data[64]; };
static sigjmp_buf jb;
static void handler(int s) { siglongjmp(jb, s); }
uint64_t io[10];
int main(void) {
  uint8_t *data = mmap((void *)0x200000, 0x10000, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  uint8_t *code = mmap((void *)0x210000, 0x10000, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  uint64_t *st = (uint64_t *)0x218000;
  if (data != (void *)0x200000 || code != (void *)0x210000) return 2;
  stack_t ss = { .ss_sp = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536 };
  sigaltstack(&ss, 0);
  struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK | SA_NODEFER };
  sigaction(SIGFPE, &sa, 0); sigaction(SIGSEGV, &sa, 0); sigaction(SIGILL, &sa, 0); sigaction(SIGBUS, &sa, 0); sigaction(SIGTRAP, &sa, 0);
  /* the code: prologue at 0x210000 called as a function */
  uint8_t *p = code;
  /* push rbx rbp r12..r15 ; load */
  static const uint8_t pro[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57,
    0x41, 0xbf, 0x00, 0x80, 0x21, 0x00, /* mov r15d, 0x218000 */
    0x41, 0xff, 0x77, 0x40, /* push [r15+0x40] flags */ 0x9d,
    0x49, 0x8b, 0x07, /* mov rax,[r15] */ 0x49, 0x8b, 0x4f, 0x08, 0x49, 0x8b, 0x57, 0x10, 0x49, 0x8b, 0x5f, 0x18,
    0x49, 0x8b, 0x6f, 0x28, 0x49, 0x8b, 0x77, 0x30, 0x49, 0x8b, 0x7f, 0x38 };
  static const uint8_t epi[] = { 0x9c, 0x41, 0x8f, 0x47, 0x40, /* pushfq; pop [r15+0x40] */ 0xfc,
    0x49, 0x89, 0x07, 0x49, 0x89, 0x4f, 0x08, 0x49, 0x89, 0x57, 0x10, 0x49, 0x89, 0x5f, 0x18,
    0x49, 0x89, 0x6f, 0x28, 0x49, 0x89, 0x77, 0x30, 0x49, 0x89, 0x7f, 0x38,
    0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3 };
  memcpy(p, pro, sizeof pro); p += sizeof pro;
  struct test t; struct result r;
  while (fread(&t, sizeof t, 1, stdin) == 1) {
    memcpy(p, t.code, t.len); memcpy(p + t.len, epi, sizeof epi);
    memset(data, 0, 0x10000); memcpy(data + 0x8000, t.data, 64);
    for (int i = 0; i < 8; i++) st[i] = t.gpr[i];
    st[8] = t.flags;
    r.fault = sigsetjmp(jb, 1);
    if (!r.fault) ((void (*)(void))code)();
    __asm__ volatile("cld");
    for (int i = 0; i < 8; i++) r.gpr[i] = st[i];
    r.flags = st[8];
    memcpy(r.data, data + 0x8000, 64);
    fwrite(&r, sizeof r, 1, stdout);
  }
  return 0;
}
