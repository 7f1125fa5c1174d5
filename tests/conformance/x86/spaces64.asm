; Address spaces with identifiers and INVPCID (SDM volume 3, 4.10). What a processor may forget, but ours keeps, is checked on ours only (QEMU is not defined).
%include "harness64.inc"
gdt_end:

; Linear 0x40000000 on: page directory PD1, page table PT1, whose entry 0 maps FIRST or SECOND.
PD1 equ 0x104000
PT1 equ 0x105000
FIRST equ 0x110000
SECOND equ 0x111000
ALIAS equ 0x40000000
EVERYWHERE equ 0x100
NO_FLUSH equ 63

; SET entry address, 64-bit value
%macro SET 2
  mov rax, %2
  mov [%1], rax
%endmacro
; Goes to an address space. SPACE number: keeps what is known of it; FRESH_SPACE drops that.
%macro SPACE 1
  mov rax, PML4 | %1
  bts rax, NO_FLUSH
  mov cr3, rax
%endmacro
%macro FRESH_SPACE 1
  mov rax, PML4 | %1
  mov cr3, rax
%endmacro
; CR4 bit, on (bts) or off (btr)
%macro CR4_BIT 2
  mov rax, cr4
  %2 rax, %1
  mov cr4, rax
%endmacro
; INVALIDATE type, PCID, address
%macro INVALIDATE 3
  SET descriptor, %2
  SET descriptor + 8, %3
  mov eax, %1
  invpcid rax, [descriptor]
%endmacro
%macro SEES 2
  mov eax, [ALIAS]
  CHECK %1, rax, %2
%endmacro
; A stale entry stays, on ours.
%macro KEPT 2
%ifndef QEMU
  SEES %1, %2
%endif
%endmacro
; Spaces 1 and 2 have entries of FIRST, but the tables show SECOND.
%macro BOTH_STALE 0
  SET PT1, FIRST | 7
  INVALIDATE 2, 0, 0
  SPACE 1
  mov eax, [ALIAS]
  SPACE 2
  mov eax, [ALIAS]
  SET PT1, SECOND | 7
%endmacro

main:
  mov edi, PD1
  mov ecx, 0x2000 / 8
  xor eax, eax
  rep stosq
  SET PDPT + 8, PD1 | 7
  SET PD1, PT1 | 7
  mov dword [FIRST], 0x1111
  mov dword [SECOND], 0x2222
; -- without PCIDE
  TRY .w1
  INVALIDATE 0, 1, 0
.w1:
  CHECK_FAULT "INVPCID of an address with a PCID, without PCIDE", 13, 0
  TRY .w2
  INVALIDATE 1, 1, 0
.w2:
  CHECK_FAULT "INVPCID of a space with a PCID, without PCIDE", 13, 0
  SET PT1, FIRST | 7
  mov eax, [ALIAS]
  SET PT1, SECOND | 7
  TRY .w3
  INVALIDATE 1, 0, 0
.w3:
  CHECK "INVPCID of space 0, without PCIDE", [f_vec], 0xffffffff
  SEES "it drops what was known", 0x2222
; -- faults
  CR4_BIT 17, bts
  TRY .f1
  INVALIDATE 4, 0, 0
.f1:
  CHECK_FAULT "INVPCID of type 4", 13, 0
  TRY .f2
  INVALIDATE 0, 0x1000, 0
.f2:
  CHECK_FAULT "INVPCID of an address: reserved bits", 13, 0
  TRY .f3
  INVALIDATE 1, 1 << 63, 0
.f3:
  CHECK_FAULT "INVPCID of a space: reserved bits", 13, 0
  TRY .f4
  INVALIDATE 0, 1, 1 << 60
.f4:
  CHECK_FAULT "INVPCID of an address that is none", 13, 0
  TRY .f5
  INVALIDATE 1, 1, 1 << 60
.f5:
  CHECK "INVPCID of a space ignores the address", [f_vec], 0xffffffff
  TRY .f6
  mov rax, 1 << 32
  invpcid rax, [descriptor]
.f6:
  CHECK_FAULT "INVPCID of a type beyond 32 bits", 13, 0
  TRY .f7
  db 0x66, 0x0f, 0x38, 0x82, 0xc0
.f7:
  CHECK_FAULT "INVPCID with a register", 6, 0xeeee
  TRY .f8
  mov eax, user_invalidate
  jmp to_user64
.f8:
  CHECK_FAULT "INVPCID in ring 3", 13, 0
  SET PT1, 0
  invlpg [ALIAS]
  TRY .f9
  xor eax, eax
  invpcid rax, [ALIAS]
.f9:
  CHECK_FAULT "INVPCID with its descriptor in an absent page", 14, 0
; -- what a space knows
  SET PT1, FIRST | 7
  FRESH_SPACE 1
  SEES "space 1", 0x1111
  FRESH_SPACE 2
  SET PT1, SECOND | 7
  SEES "space 2 does not know what space 1 does", 0x2222
  SPACE 1
  KEPT "space 1 still knows", 0x1111
  SPACE 2
  KEPT "space 2 still knows", 0x2222
  FRESH_SPACE 1
  SEES "without bit 63 it is forgotten", 0x2222
  SET PT1, FIRST | 7
  SPACE 1
  KEPT "the same space again, with bit 63", 0x2222
  FRESH_SPACE 1
  SEES "the same space again, without it", 0x1111
; -- INVLPG
  BOTH_STALE
  invlpg [ALIAS]
  SEES "INVLPG in space 2", 0x2222
  SPACE 1
  KEPT "INVLPG in space 2 leaves space 1 alone", 0x1111
; -- INVPCID
  BOTH_STALE
  INVALIDATE 0, 1, ALIAS
  KEPT "INVPCID of an address of space 1, seen in space 2", 0x1111
  SPACE 1
  SEES "INVPCID of an address of space 1", 0x2222
  BOTH_STALE
  INVALIDATE 0, 2, ALIAS
  SEES "INVPCID of an address of this space", 0x2222
  SPACE 1
  KEPT "INVPCID of an address of this space, seen in space 1", 0x1111
  BOTH_STALE
  INVALIDATE 0, 1, ALIAS + 0x1000
  SPACE 1
  KEPT "INVPCID of another address", 0x1111
  BOTH_STALE
  INVALIDATE 1, 1, 0
  KEPT "INVPCID of space 1, seen in space 2", 0x1111
  SPACE 1
  SEES "INVPCID of space 1", 0x2222
  BOTH_STALE
  INVALIDATE 1, 2, 0
  SEES "INVPCID of this space", 0x2222
  BOTH_STALE
  INVALIDATE 2, 0, 0
  SEES "INVPCID of everything, here", 0x2222
  SPACE 1
  SEES "INVPCID of everything, elsewhere", 0x2222
  BOTH_STALE
  INVALIDATE 3, 0, 0
  SEES "INVPCID of everything but global pages, here", 0x2222
  SPACE 1
  SEES "INVPCID of everything but global pages, elsewhere", 0x2222
; -- global pages
  SET PT1, FIRST | 7 | EVERYWHERE
  INVALIDATE 2, 0, 0
  SEES "a global page", 0x1111
  SET PT1, SECOND | 7 | EVERYWHERE
  FRESH_SPACE 2
  KEPT "a global page in another space", 0x1111
  INVALIDATE 3, 0, 0
  KEPT "a global page after INVPCID of everything else", 0x1111
  INVALIDATE 2, 0, 0
  SEES "a global page after INVPCID of everything", 0x2222
  SET PT1, FIRST | 7 | EVERYWHERE
  invlpg [ALIAS]
  SPACE 1
  SEES "INVLPG of a global page, seen in another space", 0x1111
; -- control registers
  BOTH_STALE
  CR4_BIT 7, btr
  CR4_BIT 7, bts
  SEES "CR4.PGE, here", 0x2222
  SPACE 1
  SEES "CR4.PGE, elsewhere", 0x2222
  BOTH_STALE
  mov rax, cr3
  btr rax, 1
  mov cr3, rax
  SET PT1, SECOND | 7
  FRESH_SPACE 0
  CR4_BIT 17, btr
  CR4_BIT 17, bts
  SPACE 1
  SEES "CR4.PCIDE", 0x2222
; -- large pages
  SET PD1, 0x87
  INVALIDATE 2, 0, 0
  SPACE 1
  mov eax, [ALIAS + FIRST]
  CHECK "a large page of space 1", rax, 0x1111
  SPACE 2
  SET PD1, PT1 | 7
  INVALIDATE 0, 1, ALIAS + 0x1ff000
  SPACE 1
  SET PT1 + (FIRST >> 12) * 8, SECOND | 7
  mov eax, [ALIAS + FIRST]
  CHECK "INVPCID anywhere in a large page drops all of it", rax, 0x2222
  mov qword [PT1 + (FIRST >> 12) * 8], 0
; -- code that is found while its page's space is away
  SET PT1, FIRST | 7
  INVALIDATE 2, 0, 0
  SPACE 1
  mov dword [ALIAS + 64], 0xc3c3c3c3
  SPACE 2
  mov eax, FIRST + 64
  call rax
  SPACE 1
  mov dword [ALIAS + 64], 0xc305b0      ; mov al,5; ret
  mov eax, FIRST + 64
  call rax
  movzx eax, al
  CHECK "code that another space runs is written", rax, 5
; -- more spaces than anybody keeps
  SET PT1, FIRST | 7
  INVALIDATE 2, 0, 0
  mov ebx, 1
.many:
  mov eax, PML4
  or eax, ebx
  bts rax, NO_FLUSH
  mov cr3, rax
  mov ecx, [ALIAS]
  add ebx, 1
  cmp ebx, 40
  jb .many
  SET PT1, SECOND | 7
  INVALIDATE 3, 0, 0
  xor esi, esi
  mov ebx, 1
.again:
  mov eax, PML4
  or eax, ebx
  bts rax, NO_FLUSH
  mov cr3, rax
  add esi, [ALIAS]
  add ebx, 1
  cmp ebx, 40
  jb .again
  CHECK "INVPCID reaches 39 spaces", rsi, 39 * 0x2222
  FRESH_SPACE 0
  jmp finish

user_invalidate:
  xor eax, eax
  invpcid rax, [descriptor]

align 8
descriptor: dq 0, 0
%include "footer.inc"
