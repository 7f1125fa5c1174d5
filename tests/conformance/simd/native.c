/*
 * Executes single instructions on the host processor with all of its general, MMX and YMM registers set: reads records of 1024 bytes on standard
 * input (layout in record.ts), writes them back with the state after the instruction. x86-64 Linux hosts with AVX, built by gcc only.
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
  uint32_t trap, mxcsr;
  uint64_t rflags;
  uint64_t gpr[16];
  uint8_t pad[32];
  uint8_t memory[256];
  uint8_t ymm[16][32];
  uint64_t mm[8];
};

/* Fixed places below 4 GiB, the same in the guest: memory operands, the instruction, the record being executed and three words. */
#define MEMORY 0x208000
#define CODE 0x210000
#define WORK "0x218000"
#define STACK_WORD "0x219000"
#define CODE_WORD "0x219008"
#define RESUME_WORD "0x219010"

extern void run_one(void);
extern char resume_here[];

__asm__(
    ".intel_syntax noprefix\n.text\n.globl run_one\nrun_one:\n"
    "push rbx\npush rbp\npush r12\npush r13\npush r14\npush r15\n"
    "mov [" STACK_WORD "], rsp\n"
    "ldmxcsr [" WORK "+20]\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovdqu ymm\\n, [" WORK "+448+32*\\n]\n.endr\n"
    ".irp n,0,1,2,3,4,5,6,7\nmovq mm\\n, [" WORK "+960+8*\\n]\n.endr\n"
    "push qword ptr [" WORK "+24]\npopfq\n"
    "mov rax, [" WORK "+32]\nmov rcx, [" WORK "+40]\nmov rdx, [" WORK "+48]\nmov rbx, [" WORK "+56]\n"
    "mov rbp, [" WORK "+72]\nmov rsi, [" WORK "+80]\nmov rdi, [" WORK "+88]\nmov r8, [" WORK "+96]\n"
    "mov r9, [" WORK "+104]\nmov r10, [" WORK "+112]\nmov r11, [" WORK "+120]\nmov r12, [" WORK "+128]\n"
    "mov r13, [" WORK "+136]\nmov r14, [" WORK "+144]\nmov r15, [" WORK "+152]\n"
    "jmp [" CODE_WORD "]\n"
    ".globl resume_here\nresume_here:\n"
    "mov [" WORK "+32], rax\nmov [" WORK "+40], rcx\nmov [" WORK "+48], rdx\nmov [" WORK "+56], rbx\n"
    "mov [" WORK "+72], rbp\nmov [" WORK "+80], rsi\nmov [" WORK "+88], rdi\nmov [" WORK "+96], r8\n"
    "mov [" WORK "+104], r9\nmov [" WORK "+112], r10\nmov [" WORK "+120], r11\nmov [" WORK "+128], r12\n"
    "mov [" WORK "+136], r13\nmov [" WORK "+144], r14\nmov [" WORK "+152], r15\n"
    "mov rsp, [" STACK_WORD "]\npushfq\npop qword ptr [" WORK "+24]\ncld\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovdqu [" WORK "+448+32*\\n], ymm\\n\n.endr\n"
    "vzeroupper\n"
    ".irp n,0,1,2,3,4,5,6,7\nmovq [" WORK "+960+8*\\n], mm\\n\n.endr\nemms\n"
    "stmxcsr [" WORK "+20]\n"
    "pop r15\npop r14\npop r13\npop r12\npop rbp\npop rbx\nret\n.att_syntax\n");

static struct state *work = (struct state *)0x218000;

static void on_signal(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)number;
  (void)info;
  work->trap = (uint32_t)uc->uc_mcontext.gregs[REG_TRAPNO];
  uc->uc_mcontext.gregs[REG_RIP] = (greg_t)resume_here;
}

int main(void) {
  void *at = (void *)0x200000;
  if (mmap(at, 0x20000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at) return 2;
  *(uint64_t *)0x219008 = CODE;
  *(uint64_t *)0x219010 = (uint64_t)resume_here;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  uint8_t *code = (uint8_t *)CODE, *memory = (uint8_t *)MEMORY;
  /* jmp qword ptr [0x219010] */
  static const uint8_t leave[] = {0xff, 0x24, 0x25, 0x10, 0x90, 0x21, 0x00};
  uint32_t mxcsr = 0x1f80;
  while (fread(work, sizeof *work, 1, stdin) == 1) {
    memcpy(code, work->code, work->code[15]);
    memcpy(code + work->code[15], leave, sizeof leave);
    memcpy(memory, work->memory, sizeof work->memory);
    work->trap = 255;
    work->rflags = (work->rflags & 0x8d5) | 2;
    run_one();
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    work->rflags &= 0x8d5;
    memcpy(work->memory, memory, sizeof work->memory);
    if (fwrite(work, sizeof *work, 1, stdout) != 1) return 1;
  }
  return 0;
}
