/** A machine in the terms of QEMU's command line (qemu-system-x86_64(1), QEMU 7.2 and later): what each option stands for, and where QEMU's machine is another one. */
import path from 'node:path';
import { bootSequence } from '../../contract/boot.ts';
import type { CpuModel } from '../../contract/cpumodels.ts';
import { busOf, type DriveId } from '../../contract/drives.ts';
import type { ExplainedOption, Explanation } from '../../contract/hardware.ts';
import type { VmConfig } from '../../contract/vm.ts';
import { INSTRUCTION_CLOCK_START_MS } from '../../machine/instructionclock.ts';
import { explainDrives } from './explaindrives.ts';
import { optionValue, shellWord } from './quoting.ts';

export interface ExplainParts {
  /** Of the machine: paths in vm.json are relative to it. */
  folder: string;
  /** Where SeaBIOS lies. */
  firmwareFolder: string;
  /** The UEFI image, '' when none is installed. */
  uefiImage: string;
  /** Places of the disks whose images are encrypted. */
  encrypted?: readonly DriveId[];
}

const PROGRAM = 'qemu-system-x86_64';

/** Models of QEMU and what they lack or have too much. What TCG has not is left out, or QEMU would warn at every start. */
const V2 = '+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+rdtscp,+pdpe1gb,+fsgsbase,+smep,+erms,+rdrand';
const V3 = '+xsave,+avx,+avx2,+bmi1,+bmi2,+f16c,+fma,+abm,+movbe,+xsaveopt,+adx,+umip';
const cpus: { [M in CpuModel]: string } = {
  i686: 'pentium3,+sse2,+nx',
  'x86-64': 'qemu64,-sse3,-cx16,-svm,-lahf-lm',
  'x86-64-v2': `qemu64,-svm,${V2}`,
  'x86-64-v3': `qemu64,-svm,${V2},${V3}`,
};
const emulatedOnly =
  'QEMU emulates with TCG here. With -accel kvm and -cpu host it runs on the processor of this computer, which the built-in engine does not.';

/** Options of `qemu-system-x86_64` for the machine that is nearest to this one. */
export function explain(config: VmConfig, parts: ExplainParts): Explanation {
  const options: ExplainedOption[] = [];
  const remarks: string[] = [emulatedOnly];
  const add = (note: string, ...words: string[]) => options.push({ words, note });

  add('Its name, for QEMU’s window and lists', '-name', `guest=${optionValue(config.name)}`);
  add('Nothing that is not named below', '-nodefaults', '-no-user-config');
  add(
    `A PC with the i440FX and PIIX3 chips, PS/2 keyboard and mouse${config.hpet ? ', and an HPET' : ', no HPET'}`,
    '-machine',
    `pc,vmport=on,hpet=${config.hpet ? 'on' : 'off'}`,
  );
  add(
    config.cpu.accel === 'jit' ? 'Guest code is compiled' : 'Guest code is interpreted here; QEMU only compiles',
    '-accel',
    'tcg,thread=single',
  );
  add(`The processor ${config.cpu.model}`, '-cpu', cpus[config.cpu.model]);
  add('One processor', '-smp', '1');
  add('Memory', '-m', `${config.memoryMiB}M`);
  add('The id that the guest reads from SMBIOS', '-uuid', config.id);
  firmware(config, parts, add, remarks);
  boot(config, parts, add);
  add('Standard VGA with Bochs VBE, in the same PCI slot', '-device', `VGA,vgamem_mb=${powerOfTwo(config.display.vramMiB)},addr=02.0`);
  if (powerOfTwo(config.display.vramMiB) !== config.display.vramMiB)
    remarks.push(`QEMU takes powers of two for video memory only; this machine has ${config.display.vramMiB} MiB.`);
  listen(config, add, remarks);
  const order = config.boot.kernel ? [] : bootSequence(config.boot.order, config.drives).tried.map(({ id }) => id);
  options.push(...explainDrives(config.drives, { ...parts, encrypted: parts.encrypted ?? [], order, remarks }));
  serial(config, parts, add, remarks);
  clock(config, add, remarks);
  debug(config, add);
  add('No network card; machines have none yet', '-nic', 'none');
  differences(config, remarks);
  return { program: PROGRAM, options, remarks, command: shellCommand(options) };
}

type Add = (note: string, ...words: string[]) => void;

function firmware(config: VmConfig, { folder, firmwareFolder, uefiImage }: ExplainParts, add: Add, remarks: string[]): void {
  if (config.firmware === 'uefi') {
    add(
      'UEFI (OVMF) in one image, read-only',
      '-drive',
      `if=pflash,unit=0,format=raw,readonly=on,file=${optionValue(uefiImage || 'OVMF.fd')}`,
    );
    remarks.push(
      `This machine keeps its UEFI variables in ${path.join(folder, 'nvram')}. QEMU writes them into the image itself: to keep them there, copy the image, name the copy and leave out readonly=on.`,
    );
    if (!uefiImage) remarks.push('No OVMF image was found on this computer; the path stands for one.');
    return;
  }
  add('SeaBIOS', '-bios', path.join(firmwareFolder, 'bios-256k.bin'));
}

function boot(config: VmConfig, { folder }: ExplainParts, add: Add): void {
  const { kernel, menu, menuSeconds, order } = config.boot;
  if (kernel) {
    add('A kernel that is started directly', '-kernel', path.resolve(folder, kernel.path));
    if (kernel.initrd) add('Its initial RAM disk', '-initrd', path.resolve(folder, kernel.initrd));
    if (kernel.cmdline) add('Its command line', '-append', kernel.cmdline);
    return;
  }
  const words = [`menu=${menu ? 'on' : 'off'}`];
  if (menuSeconds !== undefined) words.push(`splash-time=${menuSeconds * 1000}`);
  if (bootSequence(order, config.drives).rest.length) words.push('strict=on');
  add(
    menu ? 'The boot menu is offered; the order is the bootindex of the drives' : 'No boot menu; the order is the bootindex of the drives',
    '-boot',
    words.join(','),
  );
}

function listen(config: VmConfig, add: Add, remarks: string[]): void {
  const { listen: place } = config.display;
  if (!place) {
    remarks.push('Hypervue shows the picture in its own window. QEMU opens one of its own, or add -display none.');
    return;
  }
  const password = place.password === undefined ? '' : ',password=on';
  add(
    'VNC viewers from outside',
    '-vnc',
    `${place.type === 'tcp' ? `${place.host}:${place.display}` : `unix:${optionValue(place.path)}`}${password}`,
  );
  if (password)
    remarks.push(
      'The VNC password is not on the command line, where everybody could read it: give it with "set_password vnc" in QEMU’s monitor.',
    );
}

function serial(config: VmConfig, { folder }: ExplainParts, add: Add, remarks: string[]): void {
  config.serial.forEach((port, index) => {
    const name = `COM${index + 1}`;
    if (port.type === 'file') {
      const file = path.resolve(folder, port.path ?? `serial${index}.log`);
      add(
        `${name}, written to a file`,
        '-chardev',
        `file,id=serial${index},path=${optionValue(file)},append=on`,
        '-serial',
        `chardev:serial${index}`,
      );
    } else if (port.type === 'console') add(`${name}, a terminal`, '-serial', 'pty');
    else add(`${name}, connected to nothing`, '-serial', 'null');
  });
  if (config.serial.some(({ type }) => type === 'console'))
    remarks.push(
      'Hypervue’s Serial tab is the terminal of this machine. QEMU makes a pseudo-terminal and says its name; connect with screen or minicom.',
    );
}

function clock(config: VmConfig, add: Add, remarks: string[]): void {
  if (config.timekeeping === 'instructions') {
    add(
      'Time is made of the instructions executed',
      '-icount',
      'shift=0,sleep=on',
      '-rtc',
      `base=${new Date(INSTRUCTION_CLOCK_START_MS).toISOString().slice(0, 19)},clock=vm`,
    );
    remarks.push(
      'Both make every run the same, but not as each other: the date at the start and the time that an instruction takes are different.',
    );
  } else
    add(
      config.clock === 'utc' ? 'The real-time clock shows UTC' : 'The real-time clock shows local time',
      '-rtc',
      `base=${config.clock === 'utc' ? 'utc' : 'localtime'}`,
    );
}

function debug(config: VmConfig, add: Add): void {
  const { gdb, wait } = config.debug;
  if (!gdb) return;
  add('gdb can attach here', '-gdb', gdb.type === 'tcp' ? `tcp:127.0.0.1:${gdb.port}` : `unix:${optionValue(gdb.path)},server=on,wait=off`);
  if (wait) add('It waits for gdb before the first instruction', '-S');
}

function differences(config: VmConfig, remarks: string[]): void {
  if (config.paravirt)
    remarks.push(
      'This machine offers what guests under KVM make use of (kvmclock, known frequencies). QEMU does so under KVM only; TCG has no such thing.',
    );
  if (config.cpu.model === 'x86-64-v2' || config.cpu.model === 'x86-64-v3')
    remarks.push(
      'PCID, INVPCID, PREFETCHW, RDSEED and RDPID are in this machine’s processor, but not in that of every QEMU’s TCG: they are left out.',
    );
  if (config.drives.some(({ id }) => busOf(id) === 'sata'))
    remarks.push('The AHCI controller is that of an ICH9, in slot 4 here as there.');
  remarks.push(
    'ACPI tables, SMBIOS strings and the serial numbers of drives are not the same, so that an installed Windows may ask to be activated again.',
  );
}

/** The next power of two, 1 to 256. */
function powerOfTwo(mib: number): number {
  return 2 ** Math.ceil(Math.log2(mib));
}

function shellCommand(options: readonly ExplainedOption[]): string {
  return [PROGRAM, ...options.map(({ words }) => `  ${words.map(shellWord).join(' ')}`)].join(' \\\n');
}
