; Supervisor-mode access prevention: CR4.SMAP, EFLAGS.AC, STAC and CLAC (SDM volume 3, 4.6). What QEMU does otherwise is checked without it (QEMU not defined).
%include "harness64.inc"
local_table:
  DESC ALIAS, 15, 0x82, 0
  dq 0
gdt_end:

; Linear 0x40000000 on: page directory PD1, page table PT1, whose entry 0 maps FIRST and the others SECOND.
PD1 equ 0x104000
PT1 equ 0x105000
FIRST equ 0x110000
SECOND equ 0x111000
ALIAS equ 0x40000000
DATA equ ALIAS + 0x1000

; SET entry address, 64-bit value
%macro SET 2
  mov rax, %2
  mov [%1], rax
%endmacro
; CR4 bit, on (bts) or off (btr)
%macro CR4_BIT 2
  mov rax, cr4
  %2 rax, %1
  mov cr4, rax
%endmacro

main:
  mov edi, PD1
  mov ecx, 0x2000 / 8
  xor eax, eax
  rep stosq
  SET PDPT + 8, PD1 | 7
  SET PD1, PT1 | 7
  mov dword [SECOND], 0x2222
; The system's pages are its own, but for the user's stack.
  mov edi, PTAB
  mov ecx, 512
.system:
  and qword [rdi], ~4
  add edi, 8
  loop .system
  or qword [PTAB + ((STACK3 - 1) >> 12) * 8], 4
  mov esi, user_code
  mov edi, FIRST
  mov ecx, user_end - user_code
  rep movsb
  SET PT1, FIRST | 7
  SET PT1 + 8, SECOND | 7
  CR4_BIT 7, btr
  CR4_BIT 7, bts
  mov eax, [DATA]
  CHECK "without SMAP", rax, 0x2222
  CR4_BIT 21, bts
  TRY .s1
  mov eax, [DATA]
.s1:
  CHECK_FAULT "SMAP: read", 14, 1
  CHECK "SMAP: CR2", [f_cr2], DATA
  TRY .s2
  mov [DATA + 8], eax
.s2:
  CHECK_FAULT "SMAP: write", 14, 3
%ifndef QEMU
  TRY .s3
  add dword [DATA + 8], 1
.s3:
  CHECK_FAULT "SMAP: read and write", 14, 3
%endif
  stac
  pushfq
  pop rax
  and eax, 0x40000
  CHECK "STAC sets AC", rax, 0x40000
  mov eax, [DATA]
  CHECK "SMAP: read with AC", rax, 0x2222
  mov dword [DATA + 8], 0x3333
  clac
  CHECK "SMAP: written with AC", [SECOND + 8], 0x3333
  pushfq
  pop rax
  and eax, 0x40000
  CHECK "CLAC clears AC", rax, 0
  TRY .s4
  mov eax, [DATA]
.s4:
  CHECK_FAULT "SMAP: read after CLAC", 14, 1
  TRY .s5
  mov [DATA + 8], eax
.s5:
  CHECK_FAULT "SMAP: write after CLAC", 14, 3
  stac
  mov eax, [DATA + 8]
  clac
  CHECK "SMAP: open again", rax, 0x3333
  pushfq
  or dword [rsp], 0x40000
  popfq
  mov eax, [DATA + 8]
  clac
  CHECK "SMAP: AC by POPF", rax, 0x3333
  TRY .s6
  mov eax, [DATA + 8]
.s6:
  CHECK_FAULT "SMAP: closed again", 14, 1
  mov rax, cr0
  btr rax, 16
  mov cr0, rax
  TRY .s7
  mov [DATA + 8], eax
.s7:
  CHECK_FAULT "SMAP: write without WP", 14, 3
  mov rax, cr0
  bts rax, 16
  mov cr0, rax
  TRY .s8
  mov rax, ALIAS + user_return - user_code
  call rax
  int 0x2f
.s8:
  CHECK "SMAP: code of a user page", [f_vec], 0x2f
  TRY .s9
  mov rdi, DATA
  mov rsi, rsp
  mov ecx, 4
  rep movsq
.s9:
  CHECK_FAULT "SMAP: string", 14, 3
  mov byte [idt + 14 * 16 + 4], 1
  TRY .s10
  mov rsp, DATA + 0x800
  push rax
.s10:
  mov byte [idt + 14 * 16 + 4], 0
  CHECK_FAULT "SMAP: stack", 14, 3
; -- what is set aside
  stac
  mov eax, [DATA]
  clac
  SET PT1 + 8, FIRST | 7
  invlpg [DATA]
  stac
  mov eax, [DATA]
  mov edx, [ALIAS]
  clac
  CHECK "SMAP: INVLPG of a page that is closed", rax, rdx
  SET PT1 + 8, SECOND | 7
  invlpg [DATA]
  stac
  mov dword [DATA + 64], 0xc3c3c3c3
  clac
  mov eax, SECOND + 64
  call rax
  stac
  mov dword [DATA + 64], 0xc307b0      ; mov al,7; ret
  clac
  mov eax, SECOND + 64
  call rax
  movzx eax, al
  CHECK "SMAP: code is written that was found meanwhile", rax, 7
; -- more pages than are kept, over and over
  mov edi, PT1 + 16
  mov eax, SECOND | 7
  mov ecx, 40
.map:
  mov [rdi], rax
  add edi, 8
  loop .map
  xor ebx, ebx
  mov ecx, 500
.round:
  mov rsi, DATA
  mov edx, 40
  stac
.page:
  add ebx, [rsi]
  inc dword [rsi + 8]
  add rsi, 0x1000
  dec edx
  jnz .page
  clac
  dec ecx
  jnz .round
  CHECK "SMAP: many pages, many times", rbx, 500 * 40 * 0x2222
  CHECK "SMAP: they are written", [SECOND + 8], 0x3333 + 500 * 40
  mov rbx, DATA
  mov ecx, 40
.closed:
  TRY .s11
  mov eax, [rbx]
.s11:
  cmp dword [f_vec], 14
  jne .open
  add rbx, 0x1000
  dec ecx
  jnz .closed
.open:
  CHECK "SMAP: all of them are closed", rcx, 0
; -- ring 3
  TRY .u1
  mov rax, ALIAS + user_read - user_code
  jmp to_user64
.u1:
  CHECK "SMAP: the user's own pages", [f_vec], 0x2f
  TRY .u2
  mov rax, ALIAS + user_stac - user_code
  jmp to_user64
.u2:
  CHECK_FAULT "STAC in ring 3", 6, 0xeeee
  TRY .u3
  mov rax, ALIAS + user_clac - user_code
  jmp to_user64
.u3:
  CHECK_FAULT "CLAC in ring 3", 6, 0xeeee
%ifndef QEMU
  TRY .u4
  db 0xf0, 0x0f, 0x01, 0xcb
.u4:
  CHECK_FAULT "STAC with LOCK", 6, 0xeeee
%endif
; -- the system's tables in a user page: AC does not open it to those.
  mov rax, cr0
  btr rax, 18
  mov cr0, rax
  stac
  mov dword [ALIAS + 0], 0
  mov dword [ALIAS + 4], 0
  mov dword [ALIAS + 8], 0xffff
  mov dword [ALIAS + 12], 0xcff300
  clac
  mov ax, local_table - gdt
  lldt ax
  TRY .i1
  mov eax, 0x0f
  mov es, eax
.i1:
  CHECK_FAULT "SMAP: a descriptor in a user page", 14, 1
%ifndef QEMU
  stac
  TRY .i2
  mov eax, 0x0f
  mov es, eax
.i2:
  clac
  CHECK_FAULT "SMAP: a descriptor in a user page, with AC", 14, 1
%endif
  mov dword [user_flags], 0x40002
  TRY .i3
  mov rax, ALIAS + user_load - user_code
  jmp to_user64
.i3:
  CHECK_FAULT "SMAP: the same in ring 3, with AC", 14, 1
  clac
  CR4_BIT 21, btr
  TRY .i4
  mov eax, 0x0f
  mov es, eax
.i4:
  CHECK "without SMAP it is loaded", [f_vec], 0xffffffff
  jmp finish

user_code:
  times 16 db 0
user_read:
  mov rbx, DATA
  mov eax, [rbx]
  int 0x2f
user_stac:
  stac
user_clac:
  clac
user_load:
  mov eax, 0x0f
  mov es, eax
user_return:
  ret
user_end:
%include "footer.inc"
