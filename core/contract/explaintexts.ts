/** What is said of a machine in QEMU's terms (see texts.ts). */
export const explainTexts = {
  explainName: 'Its name, for QEMU’s window and lists',
  explainNothingElse: 'Nothing that is not named below',
  explainPcHpet: 'A PC with the i440FX and PIIX3 chips, PS/2 keyboard and mouse, and an HPET',
  explainPc: 'A PC with the i440FX and PIIX3 chips, PS/2 keyboard and mouse, no HPET',
  explainCompiled: 'Guest code is compiled',
  explainInterpreted: 'Guest code is interpreted here; QEMU only compiles',
  explainCpu: 'The processor {model}',
  explainOneCpu: 'One processor',
  explainMemory: 'Memory',
  explainUuid: 'The id that the guest reads from SMBIOS',
  explainVga: 'Standard VGA with Bochs VBE, in the same PCI slot',
  explainVirtioVga: 'VirtIO display that is a VGA too, in the same PCI slot',
  explainNoNetwork: 'No network card',
  explainCard: 'The network card at {card}, in the same PCI slot',
  explainCable: 'The cable of {card}, to the network {network}',
  explainNoCable: 'The cable of {card} leads nowhere; in QEMU to a network with nobody else in it',
  explainUefi: 'UEFI (OVMF) in one image, read-only',
  explainKernel: 'A kernel that is started directly',
  explainInitrd: 'Its initial RAM disk',
  explainCmdline: 'Its command line',
  explainMenu: 'The boot menu is offered; the order is the bootindex of the drives',
  explainNoMenu: 'No boot menu; the order is the bootindex of the drives',
  explainVnc: 'VNC viewers from outside',
  explainSerialFile: '{port}, written to a file',
  explainSerialTerminal: '{port}, a terminal',
  explainSerialNull: '{port}, connected to nothing',
  explainIcount: 'Time is made of the instructions executed',
  explainUtc: 'The real-time clock shows UTC',
  explainLocaltime: 'The real-time clock shows local time',
  explainGdb: 'gdb can attach here',
  explainGdbWait: 'It waits for gdb before the first instruction',
  explainAhci: 'The SATA controller, there as long as a drive is on it',
  explainSecret: 'A file that holds the passphrase, with no line break at its end',
  explainDrive: 'The drive at {drive}',
  explainDriveEmpty: 'The drive at {drive}, empty',
  explainDisk: 'A hard disk, {format}',
  explainDiskReadOnly: 'A hard disk, {format}, read-only',
  explainDisc: 'A disc',
  explainFloppy: 'A floppy',
  explainFloppyReadOnly: 'A floppy, read-only',
  remarkTcg:
    'QEMU emulates with TCG here. With -accel kvm and -cpu host it runs on the processor of this computer, which the built-in engine does not.',
  remarkVirtioVga: 'The VGA in QEMU’s VirtIO display has {most} MiB of video memory; this machine’s has {mib}.',
  remarkVideoMemory: 'QEMU takes powers of two for video memory only; this machine has {mib} MiB.',
  remarkNvram:
    'This machine keeps its UEFI variables in {path}. QEMU writes them into the image itself: to keep them there, copy the image, name the copy and leave out readonly=on.',
  remarkNoOvmf: 'No OVMF image was found on this computer; the path stands for one.',
  remarkWindow: 'Hypervue shows the picture in its own window. QEMU opens one of its own, or add -display none.',
  remarkVncPassword:
    'The VNC password is not on the command line, where everybody could read it: give it with "set_password vnc" in QEMU’s monitor.',
  remarkSerial:
    'Hypervue’s Serial tab is the terminal of this machine. QEMU makes a pseudo-terminal and says its name; connect with screen or minicom.',
  remarkIcount:
    'Both make every run the same, but not as each other: the date at the start and the time that an instruction takes are different.',
  remarkParavirt:
    'This machine offers what guests under KVM make use of (kvmclock, known frequencies). QEMU does so under KVM only; TCG has no such thing.',
  remarkCpu:
    'PCID, INVPCID, PREFETCHW, RDSEED and RDPID are in this machine’s processor, but not in that of every QEMU’s TCG: they are left out.',
  remarkNetwork:
    'A user network of QEMU has this machine alone in it. Its gateway is its second address, not the first, and leads to the loopback of this computer too; it always gives addresses.',
  remarkAhci: 'The AHCI controller is that of an ICH9, in slot 4 here as there.',
  remarkTables:
    'ACPI tables, SMBIOS strings and the serial numbers of drives are not the same, so that an installed Windows may ask to be activated again.',
  remarkBurst: '{drive} may use {seconds} s of its rate at once; QEMU words bursts in another way (throttling.iops-total-max).',
  remarkReadOnly:
    '{drive} is read-only for the guest here. QEMU has no such disk on IDE and SATA; with snapshot=on the guest writes, and all of it is thrown away at the end.',
} as const;
