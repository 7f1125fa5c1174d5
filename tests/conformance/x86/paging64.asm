; 4-level paging: protection, execute-disable, large and huge pages, reserved bits, accessed and dirty bits, INVLPG, SMEP, PCID, the upper half.
; SDM volume 3 chapter 4.
%include "harness64.inc"
tss_high:
  DESC L(tss), 103, 0x89, 0
  dq 0xffff8000
gdt_end:

HIGH equ 0xffff800000000000
; Linear 0x40000000 on: page directory PD1, page table PT1, whose entry 0 maps DATA.
PD1 equ 0x104000
PT1 equ 0x105000
DATA equ 0x110000
ALIAS equ 0x40000000

NX equ 1 << 63

; SET entry address, 64-bit value
%macro SET 2
  mov rax, %2
  mov [%1], rax
%endmacro
; Makes the mapping of ALIAS whole again and drops what the TLB has of it.
%macro FRESH 0
  SET PDPT + 8, PD1 | 7
  SET PD1, PT1 | 7
  SET PT1, DATA | 7
  invlpg [ALIAS]
%endmacro

main:
  mov edi, PD1
  mov ecx, 0x2000 / 8
  xor eax, eax
  rep stosq
  mov dword [DATA], 0xc3c3c3c3
  FRESH
  mov eax, [ALIAS]
  CHECK "a page", rax, 0xc3c3c3c3
; -- not present
  FRESH
  mov qword [PT1], 0
  invlpg [ALIAS]
  TRY .n1
  mov eax, [ALIAS + 8]
.n1:
  CHECK_FAULT "PTE not present, read", 14, 0
  CHECK "CR2", [f_cr2], ALIAS + 8
  TRY .n2
  mov [ALIAS + 8], eax
.n2:
  CHECK_FAULT "PTE not present, write", 14, 2
  FRESH
  mov qword [PD1], 0
  invlpg [ALIAS]
  TRY .n3
  mov eax, [ALIAS]
.n3:
  CHECK_FAULT "PDE not present", 14, 0
  mov qword [PDPT + 8], 0
  invlpg [ALIAS]
  TRY .n4
  mov eax, [ALIAS]
.n4:
  CHECK_FAULT "PDPTE not present", 14, 0
  TRY .n5
  mov rbx, 0xffff900000000000
  mov eax, [rbx]
.n5:
  CHECK_FAULT "PML4E not present", 14, 0
  CHECK "CR2 of the upper half", [f_cr2], 0xffff900000000000
  TRY .n6
  mov eax, user_read
  mov qword [t_at], ALIAS
  jmp to_user64
.n6:
  CHECK_FAULT "not present, in ring 3", 14, 4
; -- protection
  FRESH
  SET PT1, DATA | 5
  invlpg [ALIAS]
  TRY .p1
  mov [ALIAS], eax
.p1:
  CHECK_FAULT "write to a read-only page", 14, 3
  mov rax, cr0
  btr rax, 16
  mov cr0, rax
  TRY .p2
  mov dword [ALIAS + 16], 1
.p2:
  CHECK "without WP the system may", [f_vec], 0xffffffff
  mov rax, cr0
  bts rax, 16
  mov cr0, rax
  SET PT1, DATA | 7
  SET PDPT + 8, PD1 | 5
  invlpg [ALIAS]
  TRY .p3
  mov [ALIAS], eax
.p3:
  CHECK_FAULT "read-only by the PDPTE", 14, 3
  FRESH
  SET PD1, PT1 | 3
  invlpg [ALIAS]
  TRY .p4
  mov eax, user_read
  jmp to_user64
.p4:
  CHECK_FAULT "supervisor page by the PDE, in ring 3", 14, 5
  FRESH
  SET PT1, DATA | 5
  invlpg [ALIAS]
  TRY .p5
  mov eax, user_write
  jmp to_user64
.p5:
  CHECK_FAULT "write in ring 3", 14, 7
; -- execute-disable
  FRESH
  TRY .x1
  mov eax, ALIAS
  call rax
  int 0x2f
.x1:
  CHECK "code in an executable page", [f_vec], 0x2f
  SET PT1, DATA | 7 | NX
  invlpg [ALIAS]
  TRY .x2
  mov eax, ALIAS
  call rax
.x2:
  CHECK_FAULT "fetch from a page without execution", 14, 0x11
  CHECK "CR2 of a fetch", [f_cr2], ALIAS
  mov eax, [ALIAS]
  CHECK "it can be read", rax, 0xc3c3c3c3
  FRESH
  SET PD1, PT1 | 7 | NX
  invlpg [ALIAS]
  TRY .x3
  mov eax, ALIAS
  jmp to_user64
.x3:
  CHECK_FAULT "without execution by the PDE, in ring 3", 14, 0x15
  SET PDPT + 8, PD1 | 7 | NX
  SET PD1, PT1 | 7
  invlpg [ALIAS]
  TRY .x4
  mov eax, ALIAS
  call rax
.x4:
  CHECK_FAULT "without execution by the PDPTE", 14, 0x11
  SET_MSR 0xc0000080, 0x101
  TRY .x5
  mov eax, [ALIAS]
.x5:
  CHECK_FAULT "bit 63 without NXE is reserved", 14, 9
  SET_MSR 0xc0000080, 0x901
; -- reserved bits
  FRESH
  SET PT1, DATA | 7 | (1 << 45)
  invlpg [ALIAS]
  TRY .v1
  mov eax, [ALIAS]
.v1:
  CHECK_FAULT "PTE above the address width", 14, 9
  TRY .v2
  mov eax, user_write
  jmp to_user64
.v2:
  CHECK_FAULT "the same, write in ring 3", 14, 15
  FRESH
  SET PD1, 0x200000 | 0x87 | 0x2000
  invlpg [ALIAS]
  TRY .v3
  mov eax, [ALIAS]
.v3:
  CHECK_FAULT "bit 13 of a 2 MiB page", 14, 9
  SET PT1, DATA | 7 | (0x3ff << 52)
  SET PD1, PT1 | 7
  invlpg [ALIAS]
  mov eax, [ALIAS]
  CHECK "bits 61..52 are ignored", rax, 0xc3c3c3c3
  SET PML4 + 8, PDPT | 7 | 0x80
  mov rbx, 0x8000000000
  TRY .v4
  mov eax, [rbx]
.v4:
  CHECK_FAULT "PS in a PML4E", 14, 9
  mov qword [PML4 + 8], 0
; -- large pages
  FRESH
  SET PD1, 0x87
  invlpg [ALIAS]
  mov eax, [ALIAS + DATA]
  CHECK "2 MiB page", rax, 0xc3c3c3c3
  mov rax, [PD1]
  CHECK "2 MiB page: accessed", rax, 0xa7
  mov dword [ALIAS + DATA + 0x1000], 0x5a5a
  mov rax, [PD1]
  CHECK "2 MiB page: dirty", rax, 0xe7
  CHECK "2 MiB page: written", [DATA + 0x1000], 0x5a5a
  mov qword [PD1], 0
  invlpg [ALIAS + 0x1ff000]
  TRY .l1
  mov eax, [ALIAS + DATA]
.l1:
  CHECK "INVLPG anywhere in a 2 MiB page drops all of it", [f_vec], 14
  mov dword [PDPT + 16], 0x87
  mov edx, 0x80000000
  mov eax, [rdx + DATA]
  CHECK "1 GiB page", rax, 0xc3c3c3c3
  mov [rdx + DATA + 0x2000], eax
  mov rax, [PDPT + 16]
  CHECK "1 GiB page: accessed and dirty", rax, 0xe7
  mov qword [PDPT + 16], 0
  invlpg [rdx + 0x3ff00000]
  TRY .l2
  mov eax, [rdx + DATA]
.l2:
  CHECK "INVLPG anywhere in a 1 GiB page drops all of it", [f_vec], 14
  mov dword [PDPT + 16], 0x2087
  TRY .l3
  mov eax, [rdx + DATA]
.l3:
  CHECK_FAULT "bit 13 of a 1 GiB page", 14, 9
  mov qword [PDPT + 16], 0
; -- accessed and dirty bits
  FRESH
  SET PML4, PDPT | 7
  mov rax, cr3
  mov cr3, rax
  mov eax, [ALIAS]
  CHECK "accessed: PML4E", [PML4], PDPT | 0x27
  CHECK "accessed: PDPTE", [PDPT + 8], PD1 | 0x27
  CHECK "accessed: PDE", [PD1], PT1 | 0x27
  CHECK "accessed: PTE", [PT1], DATA | 0x27
  mov [ALIAS + 32], eax
  CHECK "dirty: PTE", [PT1], DATA | 0x67
  CHECK "dirty: not the PDE", [PD1], PT1 | 0x27
  FRESH
  SET PT1, DATA | 5
  invlpg [ALIAS]
  TRY .ad1
  mov [ALIAS], eax
.ad1:
  CHECK "a write that faults leaves the PTE alone", [PT1], DATA | 5
; -- CR3
  FRESH
  mov eax, [ALIAS]
  mov qword [PT1], (DATA + 0x1000) | 7
  mov rax, cr3
  mov cr3, rax
  mov eax, [ALIAS]
  CHECK "writing CR3 drops what was cached", rax, 0x5a5a
%ifndef QEMU
  TRY .cr1
  mov rax, cr3
  bts rax, 63
  mov cr3, rax
.cr1:
  CHECK_FAULT "CR3 bit 63 without PCIDE", 13, 0
  mov rax, cr3
  or rax, 0x18
  mov cr3, rax
  TRY .cr2
  mov rax, cr4
  bts rax, 17
  mov cr4, rax
.cr2:
  CHECK_FAULT "PCIDE with low bits of CR3", 13, 0
  mov eax, PML4
  mov cr3, rax
  TRY .cr3
  mov rax, cr4
  bts rax, 17
  mov cr4, rax
  mov rax, PML4 | 5
  bts rax, 63
  mov cr3, rax
.cr3:
  CHECK "PCIDE and bit 63", [f_vec], 0xffffffff
  mov rax, cr3
  CHECK "bit 63 is not kept", rax, PML4 | 5
  mov eax, PML4
  mov cr3, rax
  mov rax, cr4
  btr rax, 17
  mov cr4, rax
%endif
; -- an access over 4 GiB
  SET PDPT + 24, PD1 | 7
  SET PD1 + 511 * 8, 0x200087
  SET PDPT + 32, PT1 | 7
  SET PT1, 0x400087
  mov rbx, 0xfffffffc
  mov rax, 0x1122334455667788
  mov [rbx], rax
  CHECK "an access does not wrap at 4 GiB", [rbx], rax
  mov eax, [0x3ffffc]
  CHECK "its first half", rax, 0x55667788
  mov eax, [0x400000]
  CHECK "its second half", rax, 0x11223344
; -- the upper half
  SET PML4 + 256 * 8, PDPT | 7
  mov rbx, HIGH + t_value
  CHECK "data in the upper half", [rbx], 0x8877665544332211
  mov rax, HIGH + high_code
  TRY .h1
  call rax
  int 0x2f
.h1:
  CHECK "code in the upper half", [f_vec], 0x2f
  CHECK "RIP in the upper half", [t_rip], HIGH + high_code.here
  mov rax, HIGH + gdt
  mov [t_table + 2], rax
  mov word [t_table], gdt_end - gdt - 1
  lgdt [t_table]
  mov rax, HIGH + idt
  mov [t_table + 2], rax
  mov word [t_table], 48 * 16 - 1
  lidt [t_table]
  mov ax, FREE_SEL
  ltr ax
  mov rax, HIGH + STACK_IST1
  mov [tss + 36], rax
  TRY .h2
  mov eax, user_int
  jmp to_user64
.h2:
  CHECK "tables, TSS and stack in the upper half", [f_rsp_now], HIGH + STACK_IST1 - 64
  TRY .h3
  mov eax, compat_int
  jmp to_user32
.h3:
  CHECK "the same from compatibility mode", [f_rsp_now], HIGH + STACK_IST1 - 64
  CHECK "its frame", [f_cs], UCODE32
; -- SMEP
  mov edi, PTAB + 8 * 16
  mov ecx, 16
.system:
  and qword [rdi], ~4
  add edi, 8
  loop .system
  FRESH
  mov rax, cr4
  bts rax, 20
  mov cr4, rax
  TRY .m1
  mov eax, ALIAS
  call rax
.m1:
  CHECK_FAULT "SMEP: code of a user page in ring 0", 14, 0x11
  mov eax, [ALIAS]
  CHECK "SMEP: data of a user page", rax, 0xc3c3c3c3
  mov rax, cr4
  btr rax, 20
  mov cr4, rax
  TRY .m2
  mov eax, ALIAS
  call rax
  int 0x2f
.m2:
  CHECK "without SMEP", [f_vec], 0x2f
  jmp finish

user_read:
  mov rbx, [t_at]
  mov eax, [rbx]
user_write:
  mov rbx, [t_at]
  mov [rbx], eax
user_int:
  int 0x2e
high_code:
  lea rax, [rel .here]
.here:
  mov [t_rip], rax
  ret
bits 32
compat_int:
  int 0x2e

align 8
t_value: dq 0x8877665544332211
t_rip: dq 0
t_at: dq ALIAS
t_table: dq 0, 0
%include "footer.inc"
