/*
 * Runs single x87, MMX and SSE instructions on the host processor. Reads records of 512 bytes from standard input, writes them back with the
 * state after the instruction. x86-64 hosts only; the encodings used are the same in 32-bit and 64-bit mode.
 *
 *   0   instruction bytes, length in byte 15        32  trap vector after the instruction, or 255
 *   16  eax, ecx, edx, eflags (u32 each)            64  128 bytes of memory: (e)si and (e)di point here
 *   192 first 288 bytes of an FXSAVE image (x87, MXCSR, XMM0..7)
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct state {
  uint8_t code[16];
  uint32_t eax, ecx, edx, eflags;
  uint32_t trap, pad[7];
  uint8_t memory[128];
  uint8_t fx[288];
  uint8_t tail[32];
} __attribute__((aligned(64)));

static uint8_t *page, *slot, *resume;
static struct state work __attribute__((aligned(64)));
static uint8_t fxin[512] __attribute__((aligned(64))), fxout[512] __attribute__((aligned(64)));

static void on_signal(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)number;
  (void)info;
  work.trap = (uint32_t)uc->uc_mcontext.gregs[REG_TRAPNO];
  uc->uc_mcontext.gregs[REG_RIP] = (greg_t)resume;
}

static uint8_t *emit(uint8_t *at, const void *bytes, size_t n) {
  memcpy(at, bytes, n);
  return at + n;
}
#define EMIT(...) do { const uint8_t b[] = {__VA_ARGS__}; at = emit(at, b, sizeof b); } while (0)
#define EMIT64(v) do { uint64_t w = (uint64_t)(v); at = emit(at, &w, 8); } while (0)

static void build(void) {
  page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint8_t *at = page;
  EMIT(0x53, 0x55, 0x57, 0x56);                 /* push rbx rbp rdi rsi */
  EMIT(0x48, 0xbb); EMIT64(&work);              /* mov rbx, work */
  EMIT(0x48, 0xbd); EMIT64(fxin);               /* mov rbp, fxin */
  EMIT(0x0f, 0xae, 0x4d, 0x00);                 /* fxrstor [rbp] */
  EMIT(0x48, 0xbd); EMIT64(fxout);              /* mov rbp, fxout */
  EMIT(0x8b, 0x43, 0x10, 0x8b, 0x4b, 0x14, 0x8b, 0x53, 0x18); /* eax ecx edx */
  EMIT(0x48, 0x8d, 0x73, 0x40, 0x48, 0x89, 0xf7);             /* rsi = rdi = memory */
  EMIT(0x44, 0x8b, 0x43, 0x1c, 0x41, 0x50, 0x9d);             /* eflags */
  slot = at;
  memset(at, 0x90, 16);
  at += 16;
  resume = at;
  EMIT(0x9c, 0x41, 0x58, 0x44, 0x89, 0x43, 0x1c);             /* eflags */
  EMIT(0x89, 0x43, 0x10, 0x89, 0x4b, 0x14, 0x89, 0x53, 0x18);
  EMIT(0x0f, 0xae, 0x45, 0x00);                 /* fxsave [rbp] */
  EMIT(0xdb, 0xe3);                             /* fninit */
  EMIT(0x5e, 0x5f, 0x5d, 0x5b, 0xc3);
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  build();
  uint32_t mxcsr = 0x1f80;
  while (fread(&work, sizeof work, 1, stdin) == 1) {
    memset(slot, 0x90, 16);
    memcpy(slot, work.code, work.code[15]);
    memcpy(fxin, work.fx, sizeof work.fx);
    work.trap = 255;
    work.eflags = (work.eflags & 0x8d5) | 2;
    ((void (*)(void))page)();
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    work.eflags &= 0x8d5;
    memcpy(work.fx, fxout, sizeof work.fx);
    if (fwrite(&work, sizeof work, 1, stdout) != 1) return 1;
  }
  return 0;
}
