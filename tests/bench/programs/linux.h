/* Linux system calls without a C library (man 2 of each; numbers of arch/x86/entry/syscalls in the kernel's source). */
#pragma once
#include "program.h"

#ifdef __x86_64__
enum { SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_mmap = 9, SYS_munmap = 11, SYS_ioperm = 173, SYS_pipe = 22, SYS_dup2 = 33,
       SYS_fork = 57, SYS_execve = 59, SYS_exit = 60, SYS_wait4 = 61, SYS_getppid = 110, SYS_reboot = 169, SYS_lseek = 8, SYS_mkdir = 83, SYS_chroot = 161, SYS_chdir = 80 };
#else
enum { SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_mmap = 192, SYS_munmap = 91, SYS_ioperm = 101, SYS_pipe = 42, SYS_dup2 = 63,
       SYS_fork = 2, SYS_execve = 11, SYS_exit = 1, SYS_wait4 = 114, SYS_getppid = 64, SYS_reboot = 88, SYS_lseek = 19, SYS_mkdir = 39, SYS_chroot = 61, SYS_chdir = 12 };
#endif

/* linux32.S and linux64.S */
long system_call(long number, long a, long b, long c, long d, long e, long f);

#define call0(n) system_call(n, 0, 0, 0, 0, 0, 0)
#define call1(n, a) system_call(n, (long)(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) system_call(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define call3(n, a, b, c) system_call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define call4(n, a, b, c, d) system_call(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

/* The file of this program, for starting it again. */
extern const char *own_path;
extern const struct program system_programs[];
