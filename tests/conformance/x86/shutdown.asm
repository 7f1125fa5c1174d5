; Triple fault: an exception with an IDT of no entries.
%include "harness.inc"
gdt_end:
no_idt: dw 0
  dd 0
main:
  mov eax, 1
  CHECK "before", eax, 1
  lidt [no_idt]
  ud2
  CHECK "after", eax, 1
  jmp finish
%include "footer.inc"
