/*
 * Executes short pieces of code on the host processor with every general register set, RSP too: reads `struct record`s on standard input, writes
 * them back with the state at the end (long.ts has the other side). x86-64 Linux with gcc only, not position-independent,
 * and linked away from the pages used here: the one below EDGE is there, the one above is not.
 *
 * The code ends where one of `ends` lies, offsets at which a jump to the end is put. Its operands must lie near `window`, or be reached with the
 * base of GS, which is GS_BASE.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define DATA_PAGES 0x200000
#define EDGE 0x400000
#define CODE 0x210000
#define GS_BASE 0x206000
#define WORK "0x218000"

struct record {
  uint8_t code[96];
  uint8_t ends[4]; /* 0: none */
  uint32_t end;    /* result: number of the end reached, 255 after a fault */
  uint64_t flags;
  uint64_t window;
  uint64_t gpr[16];
  uint8_t data[512]; /* from `window` on */
};

/* At WORK: u64 gpr[16], flags, rsp of the host, end; then the addresses of the stubs. */
static uint64_t *const work = (uint64_t *)0x218000;
extern void run_one(void);
extern char stub0[], stub1[], stub2[], stub3[];

__asm__(
    ".intel_syntax noprefix\n.text\n.globl run_one\nrun_one:\n"
    "push rbx\npush rbp\npush r12\npush r13\npush r14\npush r15\n"
    "mov [" WORK "+136], rsp\n"
    "push qword ptr [" WORK "+128]\npopfq\n"
    "mov rax, [" WORK "]\nmov rcx, [" WORK "+8]\nmov rdx, [" WORK "+16]\nmov rbx, [" WORK "+24]\nmov rsp, [" WORK "+32]\n"
    "mov rbp, [" WORK "+40]\nmov rsi, [" WORK "+48]\nmov rdi, [" WORK "+56]\nmov r8, [" WORK "+64]\nmov r9, [" WORK "+72]\n"
    "mov r10, [" WORK "+80]\nmov r11, [" WORK "+88]\nmov r12, [" WORK "+96]\nmov r13, [" WORK "+104]\nmov r14, [" WORK "+112]\n"
    "mov r15, [" WORK "+120]\n"
    "jmp [" WORK "+152]\n"
    "stub0: mov byte ptr [" WORK "+144], 0\njmp finish\n"
    "stub1: mov byte ptr [" WORK "+144], 1\njmp finish\n"
    "stub2: mov byte ptr [" WORK "+144], 2\njmp finish\n"
    "stub3: mov byte ptr [" WORK "+144], 3\njmp finish\n"
    "finish:\n"
    "mov [" WORK "], rax\nmov [" WORK "+8], rcx\nmov [" WORK "+16], rdx\nmov [" WORK "+24], rbx\nmov [" WORK "+32], rsp\n"
    "mov [" WORK "+40], rbp\nmov [" WORK "+48], rsi\nmov [" WORK "+56], rdi\nmov [" WORK "+64], r8\nmov [" WORK "+72], r9\n"
    "mov [" WORK "+80], r10\nmov [" WORK "+88], r11\nmov [" WORK "+96], r12\nmov [" WORK "+104], r13\nmov [" WORK "+112], r14\n"
    "mov [" WORK "+120], r15\n"
    "mov rsp, [" WORK "+136]\npushfq\npop qword ptr [" WORK "+128]\ncld\n"
    "pop r15\npop r14\npop r13\npop r12\npop rbp\npop rbx\nret\n.att_syntax\n");

static sigjmp_buf fault;
static void handler(int number, siginfo_t *info, void *context) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  (void)info;
  for (int i = 0; i < 16; i++) work[i] = registers[order[i]];
  work[16] = registers[REG_EFL];
  siglongjmp(fault, number);
}

int main(void) {
  uint8_t *pages = mmap((void *)DATA_PAGES, 0x20000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (pages != (void *)DATA_PAGES) return 2;
  uint8_t *last = mmap((void *)(EDGE - 4096), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (last != (void *)(EDGE - 4096)) return 2;
  stack_t alternate = {.ss_sp = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536};
  sigaltstack(&alternate, 0);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_ONSTACK | SA_NODEFER | SA_SIGINFO};
  const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
  char *const stubs[4] = {stub0, stub1, stub2, stub3};
  work[19] = CODE;
  for (int i = 0; i < 4; i++) work[20 + i] = (uint64_t)stubs[i];
  struct record r;
  while (fread(&r, sizeof r, 1, stdin) == 1) {
    uint8_t *code = (uint8_t *)CODE;
    memset(pages, 0, 0x10000);
    memset(last, 0, 4096);
    memset(code, 0xcc, 512);
    memcpy(code, r.code, sizeof r.code);
    memcpy((uint8_t *)r.window, r.data, sizeof r.data);
    for (int i = 0; i < 4; i++) {
      if (!r.ends[i]) continue;
      /* jmp [stub] */
      const uint32_t at = 0x218000 + 160 + 8 * i;
      uint8_t *p = code + r.ends[i];
      p[0] = 0xff, p[1] = 0x24, p[2] = 0x25;
      memcpy(p + 3, &at, 4);
    }
    memcpy(work, r.gpr, sizeof r.gpr);
    work[16] = r.flags;
    const int number = sigsetjmp(fault, 1);
    if (!number) run_one();
    __asm__ volatile("cld");
    memcpy(r.gpr, work, sizeof r.gpr);
    r.flags = work[16];
    r.end = number ? 255 : (uint8_t)work[18];
    memcpy(r.data, (uint8_t *)r.window, sizeof r.data);
    fwrite(&r, sizeof r, 1, stdout);
  }
  return 0;
}
