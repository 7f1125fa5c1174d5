/*
 * Runs cases (layout.ts has the record and the memory) on the host processor: native FILE COUNT executes every record of FILE in place. Each
 * case ends in an exception; the signal handler stores the state of it and returns into the next case, so that one signal a case is all it costs.
 * 32-bit cases run in compatibility mode of the same process. x86-64 Linux with AVX2, FSGSBASE and seccomp, built by gcc only.
 * Called without arguments it says whether there can be cases with segments: exit code 0.
 *
 * Random code may come across SYSCALL or INT 80h: a seccomp filter lets it do nothing, and the case ends as one that can't be compared.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define CODE_SIZE 256
#define CODE2_SIZE 128
#define BACKGROUND 0x5a
#define HLT 0xf4
#define END_HUNG 253
#define END_SYSCALL 254
#define ALIGNMENT_CHECK 0x40000
#define NESTED_TASK 0x4000
#define ID_FLAG 0x200000
#define USER_DS 0x2b
#define USER_CS32 0x23
#define USER_CS64 0x33
#define USER_CS16 0x67
#define CODE16_BASE 0x210000
/* arch/x86/include/uapi/asm/ucontext.h */
#define SIGCONTEXT_SS 2
#define STRICT_RESTORE_SS 4

struct window { uint32_t address, size; };
static const struct window windows[] = {{0x201000, 64},  {0x201400, 256}, {0x201f80, 256}, {0x202800, 256},
                                        {0x202f00, 256}, {0x205000, 128}, {0x205f00, 256}, {0xffffff00, 256}};
#define WINDOWS (sizeof windows / sizeof *windows)
struct page { uint32_t address; int access; };
#define RW (PROT_READ | PROT_WRITE)
static const struct page pages[] = {{0x201000, RW},
                                    {0x202000, RW},
                                    {0x204000, PROT_READ},
                                    {0x205000, RW},
                                    {0x210000, RW | PROT_EXEC},
                                    {0x211000, RW | PROT_EXEC},
                                    {0x213000, PROT_READ | PROT_EXEC},
                                    {0x214000, RW},
                                    {0xfffff000, RW}};
#define PAGES (sizeof pages / sizeof *pages)

/* The table of segments.ts: contents 0 data, 1 expanding down, 2 code; flags 1 read-only or not readable, 2 16-bit, 4 absent. */
static const struct segment { uint32_t base, limit, contents, flags; } segments[] = {
    {0x200000, 0x2fbf, 0, 0},   {0x200000, 0x7ffff, 0, 1},  {0x200000, 0x14ff, 1, 0}, {0x200000, 0x27ff, 1, 2},
    {0x200000, 0x5fff, 2, 0},   {0x200000, 0xffff, 2, 1},   {0x200000, 0xffff, 0, 4}, {0xffff0000, 0x2fffff, 0, 0},
    {0x201400, 0xfa, 0, 0},     {0x200003, 0x5000, 0, 0},   {0x200000, 0xffff, 0, 2},  {0x210000, 0xffff, 2, 2}};
#define SEGMENTS (sizeof segments / sizeof *segments)

struct record {
  uint32_t code_at, code2_at, mode, flags;
  uint64_t gpr[16], rip, fs, gs;
  uint32_t vector, error;
  uint64_t cr2, stray;
  uint8_t fx[480];
  uint16_t selectors[5], unused[11];
  uint8_t ymmh[256];
  uint8_t code[CODE_SIZE], code2[CODE2_SIZE], data[1728];
};
_Static_assert(sizeof(struct record) == 3072, "layout.ts");

static struct record *records;
static uint32_t count, at;
static volatile uint32_t ticks;
/* What memory should hold where neither code nor windows are, and the code page that user code can't write through its writable mapping. */
static uint8_t expected[PAGES][PAGE];
static uint8_t *real[PAGES];

static uint8_t *place(uint32_t address, uint8_t *base[PAGES], uint8_t copy[PAGES][PAGE]) {
  for (unsigned i = 0; i < PAGES; i++)
    if (address - pages[i].address < PAGE) return (base ? base[i] : copy[i]) + (address & (PAGE - 1));
  return 0;
}

/* Copies between a range that may cross pages and a buffer; what is absent stays as it was in the buffer. */
static void move(uint32_t address, uint8_t *bytes, uint32_t size, int out, uint8_t *base[PAGES], uint8_t copy[PAGES][PAGE]) {
  while (size) {
    uint32_t part = PAGE - (address & (PAGE - 1));
    if (part > size) part = size;
    uint8_t *p = place(address, base, copy);
    if (p && out) memcpy(bytes, p, part);
    if (p && !out) memcpy(p, bytes, part);
    address += part, bytes += part, size -= part;
  }
}

static void store_result(struct record *r) {
  move(r->code_at, r->code, CODE_SIZE, 1, real, 0);
  move(r->code2_at, r->code2, CODE2_SIZE, 1, real, 0);
  uint8_t *data = r->data;
  for (unsigned i = 0; i < WINDOWS; data += windows[i].size, i++) move(windows[i].address, data, windows[i].size, 1, real, 0);
  /* Write the results over what was expected: what differs then is a stray. */
  move(r->code_at, r->code, CODE_SIZE, 0, 0, expected);
  move(r->code2_at, r->code2, CODE2_SIZE, 0, 0, expected);
  data = r->data;
  for (unsigned i = 0; i < WINDOWS; data += windows[i].size, i++) move(windows[i].address, data, windows[i].size, 0, 0, expected);
  r->stray = 0;
  for (unsigned i = 0; i < PAGES && !r->stray; i++)
    if (memcmp(real[i], expected[i], PAGE))
      for (unsigned k = 0; k < PAGE; k++)
        if (real[i][k] != expected[i][k]) {
          r->stray = pages[i].address + k;
          break;
        }
}

static void load_case(struct record *r) {
  for (unsigned i = 0; i < PAGES; i++) memset(expected[i], pages[i].access & PROT_EXEC ? HLT : BACKGROUND, PAGE);
  move(r->code2_at, r->code2, CODE2_SIZE, 0, 0, expected);
  move(r->code_at, r->code, CODE_SIZE, 0, 0, expected);
  uint8_t *data = r->data;
  for (unsigned i = 0; i < WINDOWS; data += windows[i].size, i++) move(windows[i].address, data, windows[i].size, 0, 0, expected);
  for (unsigned i = 0; i < PAGES; i++) memcpy(real[i], expected[i], PAGE);
}

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
static int started;

static void advance(ucontext_t *uc) {
  if (at == count) syscall(SYS_exit_group, 0);
  struct record *r = &records[at];
  load_case(r);
  greg_t *g = uc->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) g[order[i]] = (greg_t)r->gpr[i];
  g[REG_RIP] = (greg_t)(r->mode == 16 ? r->rip - CODE16_BASE : r->rip);
  g[REG_EFL] = r->flags;
  g[REG_CSGSFS] = (greg_t)(r->mode == 64 ? USER_CS64 : r->mode == 16 ? USER_CS16 : USER_CS32) | ((greg_t)(r->selectors[4] ? r->selectors[4] : USER_DS) << 48);
  uc->uc_flags |= SIGCONTEXT_SS | STRICT_RESTORE_SS;
  uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
  memcpy(fx, r->fx, 416);
  memset(fx + 512, 0, 64);
  fx[512] = 7;
  memcpy(fx + 576, r->ymmh, 256);
  if (r->selectors[4]) {
    const uint16_t *s = r->selectors;
    __asm__ volatile("mov %0, %%ds\nmov %1, %%es\nmov %2, %%fs\nmov %3, %%gs\n" : : "m"(s[0]), "m"(s[1]), "m"(s[2]), "m"(s[3]));
  } else {
    uint32_t ds = USER_DS;
    __asm__ volatile("mov %0, %%ds\nmov %0, %%es\nmov %0, %%fs\nmov %0, %%gs\n" : : "r"(ds));
    __asm__ volatile("wrfsbase %0\nwrgsbase %1" : : "r"(r->fs), "r"(r->gs));
  }
  ticks = 0;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  /* As the code left them they would trouble what follows. */
  __asm__ volatile("pushfq\nandl %0, (%%rsp)\npopfq\ncld" : : "i"(~(ALIGNMENT_CHECK | NESTED_TASK | ID_FLAG)) : "cc", "memory");
  (void)info;
  ucontext_t *uc = context;
  if (number == SIGPROF && started && ++ticks < 4) return;
  if (!started) started = 1;
  else {
    struct record *r = &records[at];
    greg_t *g = uc->uc_mcontext.gregs;
    for (int i = 0; i < 16; i++) r->gpr[i] = (uint64_t)g[order[i]];
    r->rip = (uint64_t)g[REG_RIP];
    r->flags = (uint32_t)g[REG_EFL];
    r->vector = number == SIGPROF ? END_HUNG : number == SIGSYS ? END_SYSCALL : (uint32_t)g[REG_TRAPNO];
    r->error = (uint32_t)g[REG_ERR];
    r->cr2 = r->vector == 14 ? (uint64_t)g[REG_CR2] : 0;
    uint32_t cs = (uint32_t)g[REG_CSGSFS] & 0xffff;
    r->mode = cs == USER_CS64 ? 64 : cs == USER_CS32 ? 32 : cs == USER_CS16 ? 16 : cs;
    if (cs == USER_CS16) r->rip += CODE16_BASE;
    __asm__ volatile("rdfsbase %0\nrdgsbase %1" : "=r"(r->fs), "=r"(r->gs));
    uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
    memcpy(r->fx, fx, 416);
    memset(r->fx + 416, 0, 64);
    if (r->selectors[4]) {
      uint16_t *s = r->selectors;
      __asm__ volatile("mov %%ds, %0\nmov %%es, %1\nmov %%fs, %2\nmov %%gs, %3\n" : "=m"(s[0]), "=m"(s[1]), "=m"(s[2]), "=m"(s[3]));
      s[4] = (uint16_t)(g[REG_CSGSFS] >> 48);
    }
    if (fx[512] & 4) memcpy(r->ymmh, fx + 576, 256);
    else memset(r->ymmh, 0, 256);
    store_result(r);
    at++;
  }
  advance(uc);
}

/* Only these two calls, and only as 64-bit ones. */
static int restrict_calls(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int make_segments(void) {
  for (unsigned i = 0; i < SEGMENTS; i++) {
    const struct segment *s = &segments[i];
    struct user_desc d = {.entry_number = i + 1, .base_addr = s->base, .limit = s->limit, .contents = s->contents, .seg_32bit = !(s->flags & 2),
                          .read_exec_only = s->flags & 1, .seg_not_present = s->flags >> 2};
    if (syscall(SYS_modify_ldt, 1, &d, sizeof d)) return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  /* A system may refuse such tables: then there are no cases with segments. */
  int refused = make_segments();
  if (argc != 3) return argc == 1 ? refused : 2;
  count = (uint32_t)atoi(argv[2]);
  int file = open(argv[1], O_RDWR);
  records = mmap(0, (size_t)count * sizeof *records, RW, MAP_SHARED | MAP_POPULATE, file, 0);
  if (file < 0 || records == MAP_FAILED) return 3;
  for (unsigned i = 0; i < PAGES; i++) {
    uint8_t *address = (uint8_t *)(uintptr_t)pages[i].address;
    real[i] = address;
    /* Shared memory, so that what user code can't write has a second, writable mapping. */
    int memory = memfd_create("page", 0);
    if (memory < 0 || ftruncate(memory, PAGE)) return 4;
    if (mmap(address, PAGE, pages[i].access, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, memory, 0) != address) return 4;
    if (!(pages[i].access & PROT_WRITE)) real[i] = mmap(0, PAGE, RW, MAP_SHARED | MAP_POPULATE, memory, 0);
    *(volatile uint8_t *)real[i] = 0;
    /* Entered into the page table now: a page that is not would be reported as absent. */
    (void)*(volatile uint8_t *)address;
  }
  stack_t alternate = {.ss_sp = mmap(0, 1 << 18, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 1 << 18};
  sigaltstack(&alternate, 0);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO};
  sigfillset(&action.sa_mask);
  const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGSYS, SIGPROF};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  struct itimerval interval = {{0, 50000}, {0, 50000}};
  setitimer(ITIMER_PROF, &interval, 0);
  if (restrict_calls()) return 5;
  __asm__ volatile("ud2");
  return 6;
}
