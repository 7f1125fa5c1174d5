; 32-bit and PAE paging: accessed and dirty bits, page-fault error codes, WP, large pages, reserved bits, execute-disable, global pages.
; SDM volume 3 chapter 4.
%include "harness.inc"
gdt_end:

PD   equ 0x100000
PT0  equ 0x101000   ; identity, first 4 MiB (first 2 under PAE)
PT1  equ 0x102000   ; the page table of the tests
PDPT equ 0x103000
PD2  equ 0x104000   ; PAE page directory
PT0B equ 0x105000
TEST_LIN  equ 0x400000
TEST_PHYS equ 0x110000
OTHER_PHYS equ 0x111000

; SET_PTE value: entry of TEST_LIN, and drops it from the TLB
%macro SET_PTE 1
  mov dword [PT1], %1
  invlpg [TEST_LIN]
%endmacro

main:
  mov edi, PD
  xor eax, eax
  mov ecx, 0x6000 / 4
  rep stosd
  mov edi, PT0
  mov eax, 7
  mov ecx, 1024
.fill:
  stosd
  add eax, 0x1000
  loop .fill
  mov dword [PD], PT0 + 7
  mov dword [PD + 4], PT1 + 7
  mov dword [TEST_PHYS], 0xaaaa5555
  mov dword [TEST_PHYS + 0x1000], 0x11112222
  mov eax, PD
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp short .on
.on:
  SET_GATE 0x2f, stub_47, 0xee00
; -- accessed and dirty
  SET_PTE TEST_PHYS + 7
  mov eax, [TEST_LIN]
  mov ebx, eax
  CHECK "read through a page table", ebx, 0xaaaa5555
  CHECK "read sets A of the page only", [PT1], TEST_PHYS + 0x27
  mov ebx, [PD + 4]
  CHECK "read sets A of the directory entry", ebx, PT1 + 0x27
  mov dword [TEST_LIN + 4], 1
  CHECK "write sets D", [PT1], TEST_PHYS + 0x67
  SET_PTE TEST_PHYS + 7
  mov dword [TEST_LIN + 4], 2
  CHECK "write sets A and D at once", [PT1], TEST_PHYS + 0x67
  SET_PTE TEST_PHYS + 7
  cmp dword [TEST_LIN], 0
  mov ebx, [PT1]
  CHECK "compare does not set D", ebx, TEST_PHYS + 0x27
  SET_PTE TEST_PHYS + 7
  inc dword [TEST_LIN + 8]
  CHECK "read-modify-write sets D", [PT1], TEST_PHYS + 0x67
; -- fault codes
  SET_PTE TEST_PHYS + 6
  TRY .r1
  mov eax, [TEST_LIN + 0x123]
.r1:
  CHECK_FAULT "supervisor read of a not-present page", 14, 0
  CHECK "CR2 is the byte address", [f_cr2], TEST_LIN + 0x123
  CHECK "a faulting access leaves A alone", [PT1], TEST_PHYS + 6
  TRY .r2
  mov [TEST_LIN], eax
.r2:
  CHECK_FAULT "supervisor write of a not-present page", 14, 2
  TRY .r3
  inc dword [TEST_LIN]
.r3:
  CHECK_FAULT "read-modify-write faults as a write", 14, 2
  TRY .r4
  mov eax, user_read
  jmp to_user
.r4:
  CHECK_FAULT "user read of a not-present page", 14, 4
  SET_PTE TEST_PHYS + 3
  TRY .r5
  mov eax, user_read
  jmp to_user
.r5:
  CHECK_FAULT "user read of a supervisor page", 14, 5
  CHECK "protection fault leaves A alone", [PT1], TEST_PHYS + 3
  TRY .r6
  mov eax, user_write
  jmp to_user
.r6:
  CHECK_FAULT "user write of a supervisor page", 14, 7
  SET_PTE TEST_PHYS + 5
  TRY .r7
  mov eax, user_write
  jmp to_user
.r7:
  CHECK_FAULT "user write of a read-only page", 14, 7
  TRY .r8
  mov eax, user_read
  jmp to_user
.r8:
  CHECK "user read of a read-only page", [f_vec], 0x2f
  TRY .r9
  mov eax, user_exec
  jmp to_user
.r9:
  CHECK_FAULT "user fetch without a page", 14, 4
  CHECK "CR2 of a fetch", [f_cr2], TEST_LIN + 0x2000
  TRY .r10
  mov dword [TEST_LIN], 7
.r10:
  CHECK "supervisor writes a read-only page with WP clear", [f_vec], -1
  mov ebx, [PT1]
  CHECK "which sets D", ebx, TEST_PHYS + 0x65
  mov eax, cr0
  or eax, 0x10000
  mov cr0, eax
  TRY .r11
  mov dword [TEST_LIN], 7
.r11:
  CHECK_FAULT "supervisor write of a read-only page with WP set", 14, 3
  mov eax, cr0
  and eax, ~0x10000
  mov cr0, eax
  mov dword [PD + 4], PT1 + 5
  SET_PTE TEST_PHYS + 7
  TRY .r12
  mov eax, user_write
  jmp to_user
.r12:
  CHECK_FAULT "read-only directory entry", 14, 7
  mov dword [PD + 4], PT1 + 3
  mov eax, cr3
  mov cr3, eax
  TRY .r13
  mov eax, user_read
  jmp to_user
.r13:
  CHECK_FAULT "supervisor directory entry", 14, 5
  mov dword [PD + 4], PT1 + 7
  mov eax, cr3
  mov cr3, eax
; -- page crossing
  SET_PTE TEST_PHYS + 7
  mov dword [PT1 + 4], OTHER_PHYS + 0x1000 + 7
  mov dword [TEST_LIN + 0xffe], 0x87654321
  mov ebx, [TEST_LIN + 0xffe]
  CHECK "dword across two pages", ebx, 0x87654321
  movzx ebx, word [TEST_PHYS + 0xffe]
  CHECK "its lower half", ebx, 0x4321
  movzx ebx, word [OTHER_PHYS + 0x1000]
  CHECK "its upper half is in the page mapped next", ebx, 0x8765
  mov dword [PT1 + 4], 0
  invlpg [TEST_LIN + 0x1000]
  mov word [TEST_PHYS + 0xffe], 0
  TRY .r14
  mov dword [TEST_LIN + 0xffe], 0x87654321
.r14:
  CHECK_FAULT "write across into a not-present page", 14, 2
  CHECK "CR2 is in the second page", [f_cr2], TEST_LIN + 0x1000
  movzx ebx, word [TEST_PHYS + 0xffe]
  CHECK "and nothing is written in the first", ebx, 0
  TRY .r15
  mov eax, user_push
  jmp to_user
.r15:
  CHECK_FAULT "user push into a not-present page", 14, 6
  CHECK "a push that faults: CR2", [f_cr2], TEST_LIN + 0x100c
  CHECK "a push that faults keeps ESP", [f_esp], TEST_LIN + 0x1010
; -- TLB
  SET_PTE TEST_PHYS + 7
  mov eax, [TEST_LIN]
  mov dword [PT1], OTHER_PHYS + 7
  mov eax, cr3
  mov cr3, eax
  mov ebx, [TEST_LIN]
  CHECK "CR3 write drops translations", ebx, 0x11112222
  mov eax, cr4
  or al, 0x90                      ; PGE PSE
  mov cr4, eax
  SET_PTE TEST_PHYS + 0x107
  mov dword [TEST_PHYS], 0xaaaa5555
  mov eax, [TEST_LIN]
  mov dword [PT1], OTHER_PHYS + 0x107
  invlpg [TEST_LIN]
  mov ebx, [TEST_LIN]
  CHECK "INVLPG drops a global page", ebx, 0x11112222
  mov dword [PT1], TEST_PHYS + 0x107
  mov eax, cr4
  and al, 0x7f
  mov cr4, eax
  mov ebx, [TEST_LIN]
  CHECK "clearing PGE drops global pages", ebx, 0xaaaa5555
; -- 4 MiB pages
  mov dword [PD + 8], 0x87         ; 8 MiB -> 0
  mov ebx, [0x800000 + TEST_PHYS]
  CHECK "4 MiB page", ebx, 0xaaaa5555
  CHECK "read sets A of a 4 MiB page", [PD + 8], 0xa7
  mov dword [0x800000 + TEST_PHYS], 0x01020304
  CHECK "write sets D of a 4 MiB page", [PD + 8], 0xe7
  mov ebx, [TEST_PHYS]
  CHECK "write through a 4 MiB page", ebx, 0x01020304
  mov dword [PD + 8], 0x87
  mov eax, [0x800000 + OTHER_PHYS]
  mov dword [PD + 8], 0x400087
  invlpg [0x800000]
  mov ebx, [0x800000 + OTHER_PHYS]
  CHECK "INVLPG anywhere drops a whole 4 MiB page", ebx, 0
  mov dword [PD + 8], 0x200087
  invlpg [0x800000]
  TRY .r17
  mov eax, [0x800000]
.r17:
  CHECK_FAULT "reserved bit of a 4 MiB page", 14, 9
  mov dword [PD + 8], 0
; -- PAE
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  mov edi, PD
  xor eax, eax
  mov ecx, 0x6000 / 4
  rep stosd
  mov dword [PDPT], PD2 + 1
  mov dword [PD2], PT0 + 7         ; 0..2 MiB
  mov dword [PD2 + 16], PT1 + 7    ; 4..6 MiB: TEST_LIN
  mov edi, PT0
  mov eax, 7
  mov ecx, 512
.fill2:
  mov [edi], eax
  mov dword [edi + 4], 0
  add edi, 8
  add eax, 0x1000
  loop .fill2
  mov dword [TEST_PHYS], 0xaaaa5555
  mov eax, cr4
  or al, 0x20
  mov cr4, eax
  mov eax, PDPT
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp short .on2
.on2:
  SET_PTE TEST_PHYS + 7
  mov ebx, [TEST_LIN]
  CHECK "PAE read", ebx, 0xaaaa5555
  CHECK "PAE read sets A", [PT1], TEST_PHYS + 0x27
  mov dword [TEST_LIN + 4], 5
  CHECK "PAE write sets D", [PT1], TEST_PHYS + 0x67
  CHECK "PAE sets A of the directory entry", [PD2 + 16], PT1 + 0x27
  TRY .r18
  mov eax, [0x40000000]
.r18:
  CHECK_FAULT "not-present PDPTE", 14, 0
  mov dword [PT1 + 4], 0x10        ; bit 36
  SET_PTE TEST_PHYS + 7
  TRY .r19
  mov eax, [TEST_LIN]
.r19:
  CHECK_FAULT "PAE reserved address bit", 14, 9
  mov dword [PT1 + 4], 0x80000000
  SET_PTE TEST_PHYS + 7
  TRY .r20
  mov eax, [TEST_LIN]
.r20:
  CHECK_FAULT "XD is reserved while NXE is clear", 14, 9
  mov ecx, 0xc0000080
  mov eax, 0x800
  xor edx, edx
  wrmsr
  TRY .r21
  mov eax, [TEST_LIN]
.r21:
  CHECK "XD page can be read", [f_vec], -1
  mov byte [TEST_LIN], 0xc3
  TRY .r22
  mov eax, TEST_LIN
  call eax
.r22:
  CHECK_FAULT "fetch from an XD page", 14, 0x11
  TRY .r23
  mov eax, TEST_LIN
  jmp to_user
.r23:
  CHECK_FAULT "user fetch from an XD page", 14, 0x15
  mov dword [PT1 + 4], 0
  SET_PTE TEST_PHYS + 7
  TRY .r24
  mov eax, TEST_LIN
  call eax
.r24:
  CHECK "fetch from a page without XD", [f_vec], -1
  mov dword [PD2 + 24], 0x87       ; 6 MiB -> 0, 2 MiB page
  mov ebx, [0x600000 + OTHER_PHYS]
  CHECK "2 MiB page", ebx, 0x11112222
  CHECK "2 MiB page A", [PD2 + 24], 0xa7
  mov dword [PD2 + 24], 0x2087
  invlpg [0x600000]
  TRY .r25
  mov eax, [0x600000]
.r25:
  CHECK_FAULT "reserved bit of a 2 MiB page", 14, 9
  mov dword [PDPT + 8], PD2 + 3    ; bit 1 is reserved
  TRY .r26
  mov eax, cr3
  mov cr3, eax
.r26:
  CHECK_FAULT "CR3 write with a bad PDPTE", 13, 0
  mov dword [PDPT + 8], 0
  TRY .r27
  mov eax, cr4
  or eax, 0x00400000
  mov cr4, eax
.r27:
  CHECK_FAULT "reserved CR4 bit", 13, 0
  TRY .r28
  mov eax, cr0
  and eax, ~1
  mov cr0, eax
.r28:
  CHECK_FAULT "PG without PE", 13, 0
  jmp finish

user_read:
  mov eax, [TEST_LIN]
  int 0x2f
user_write:
  mov [TEST_LIN], eax
  int 0x2f
user_push:
  mov esp, TEST_LIN + 0x1010
  push dword 1
user_exec:
  mov eax, TEST_LIN + 0x2000
  jmp eax

%include "footer.inc"
