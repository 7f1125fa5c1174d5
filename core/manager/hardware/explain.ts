/** A machine in the terms of QEMU's command line (qemu-system-x86_64(1), QEMU 7.2 and later): what each option stands for, and where QEMU's machine is another one. */
import path from 'node:path';
import { bootSequence } from '../../contract/bootsequence.ts';
import type { CpuModel } from '../../contract/cpumodels.ts';
import { busOf, type DriveId } from '../../contract/drives.ts';
import type { ExplainedOption, Explanation } from '../../contract/hardware.ts';
import type { VmConfig } from '../../contract/vm.ts';
import { INSTRUCTION_CLOCK_START_MS } from '../../machine/instructionclock.ts';
import { plain, say, type Saying } from '../../util/say.ts';
import { explainDrives, option } from './explaindrives.ts';
import { type ExplainedNetwork, explainNetwork } from './explainnetwork.ts';
import { TABLET_CONNECTOR, USB_SLOT } from '../../machine/slots.ts';
import { USB_CONNECTORS } from '../../devices/usb/xhcicapabilities.ts';
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
  /** What is known of a network. */
  network?: (id: string) => ExplainedNetwork | undefined;
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
/** Video memory of QEMU's virtio-vga, MiB. */
const VIRTIO_VGA_MIB = 8;
const emulatedOnly = say('remarkTcg');

/** Options of `qemu-system-x86_64` for the machine that is nearest to this one. */
export function explain(config: VmConfig, parts: ExplainParts): Explanation {
  const options: ExplainedOption[] = [];
  const remarks: Saying[] = [emulatedOnly];
  const add = (note: Saying, ...words: string[]) => options.push(option(note, words));

  add(say('explainName'), '-name', `guest=${optionValue(config.name)}`);
  add(say('explainNothingElse'), '-nodefaults', '-no-user-config');
  add(say(config.hpet ? 'explainPcHpet' : 'explainPc'), '-machine', `pc,vmport=on,hpet=${config.hpet ? 'on' : 'off'}`);
  add(config.cpu.accel === 'jit' ? say('explainCompiled') : say('explainInterpreted'), '-accel', 'tcg,thread=single');
  add(say('explainCpu', { model: config.cpu.model }), '-cpu', cpus[config.cpu.model]);
  add(say('explainOneCpu'), '-smp', '1');
  add(say('explainMemory'), '-m', `${config.memoryMiB}M`);
  add(say('explainUuid'), '-uuid', config.id);
  firmware(config, parts, add, remarks);
  boot(config, parts, add);
  display(config, add, remarks);
  listen(config, add, remarks);
  const order = config.boot.kernel ? [] : bootSequence(config.boot.order, [...config.drives, ...config.network]).tried.map(({ id }) => id);
  usb(config, add);
  options.push(...explainDrives(config.drives, { ...parts, encrypted: parts.encrypted ?? [], order, remarks }));
  serial(config, parts, add, remarks);
  clock(config, add, remarks);
  debug(config, add);
  options.push(
    ...explainNetwork(config.network, {
      vm: config.id,
      firmware: config.firmware,
      order,
      network: parts.network ?? (() => undefined),
      remarks,
    }),
  );
  differences(config, remarks);
  return {
    program: PROGRAM,
    options,
    remarks: remarks.map(({ text }) => text),
    saidRemarks: remarks.map(({ said }) => said),
    command: shellCommand(options),
  };
}

type Add = (note: Saying, ...words: string[]) => void;

function firmware(config: VmConfig, { folder, firmwareFolder, uefiImage }: ExplainParts, add: Add, remarks: Saying[]): void {
  if (config.firmware === 'uefi') {
    add(say('explainUefi'), '-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${optionValue(uefiImage || 'OVMF.fd')}`);
    remarks.push(say('remarkNvram', { path: path.join(folder, 'nvram') }));
    if (!uefiImage) remarks.push(say('remarkNoOvmf'));
    return;
  }
  add(plain('SeaBIOS'), '-bios', path.join(firmwareFolder, 'bios-256k.bin'));
}

function boot(config: VmConfig, { folder }: ExplainParts, add: Add): void {
  const { kernel, menu, menuSeconds, order } = config.boot;
  if (kernel) {
    add(say('explainKernel'), '-kernel', path.resolve(folder, kernel.path));
    if (kernel.initrd) add(say('explainInitrd'), '-initrd', path.resolve(folder, kernel.initrd));
    if (kernel.cmdline) add(say('explainCmdline'), '-append', kernel.cmdline);
    return;
  }
  const words = [`menu=${menu ? 'on' : 'off'}`];
  if (menuSeconds !== undefined) words.push(`splash-time=${menuSeconds * 1000}`);
  if (bootSequence(order, config.drives).rest.length) words.push('strict=on');
  add(menu ? say('explainMenu') : say('explainNoMenu'), '-boot', words.join(','));
}

function display({ display: { model, vramMiB } }: VmConfig, add: Add, remarks: Saying[]): void {
  if (model === 'virtio') {
    add(say('explainVirtioVga'), '-device', 'virtio-vga,edid=on,xres=1280,yres=800,max_hostmem=256M,addr=02.0');
    if (vramMiB !== VIRTIO_VGA_MIB) remarks.push(say('remarkVirtioVga', { mib: vramMiB, most: VIRTIO_VGA_MIB }));
    return;
  }
  add(say('explainVga'), '-device', `VGA,vgamem_mb=${powerOfTwo(vramMiB)},addr=02.0`);
  if (powerOfTwo(vramMiB) !== vramMiB) remarks.push(say('remarkVideoMemory', { mib: vramMiB }));
}

function listen(config: VmConfig, add: Add, remarks: Saying[]): void {
  const { listen: place } = config.display;
  if (!place) {
    remarks.push(say('remarkWindow'));
    return;
  }
  const password = place.password === undefined ? '' : ',password=on';
  add(
    say('explainVnc'),
    '-vnc',
    `${place.type === 'tcp' ? `${place.host}:${place.display}` : `unix:${optionValue(place.path)}`}${password}`,
  );
  if (password) remarks.push(say('remarkVncPassword'));
}

function usb({ usb: controller }: VmConfig, add: Add): void {
  if (!controller) return;
  const ports = `p2=${USB_CONNECTORS},p3=${USB_CONNECTORS}`;
  add(say('explainXhci'), '-device', `qemu-xhci,id=usb,${ports},addr=${USB_SLOT.toString(16)}.0`);
  if (controller.tablet) add(say('explainTablet'), '-device', `usb-tablet,bus=usb.0,port=${TABLET_CONNECTOR}`);
}

function serial(config: VmConfig, { folder }: ExplainParts, add: Add, remarks: Saying[]): void {
  config.serial.forEach((port, index) => {
    const name = `COM${index + 1}`;
    if (port.type === 'file') {
      const file = path.resolve(folder, port.path ?? `serial${index}.log`);
      add(
        say('explainSerialFile', { port: name }),
        '-chardev',
        `file,id=serial${index},path=${optionValue(file)},append=on`,
        '-serial',
        `chardev:serial${index}`,
      );
    } else if (port.type === 'console') add(say('explainSerialTerminal', { port: name }), '-serial', 'pty');
    else add(say('explainSerialNull', { port: name }), '-serial', 'null');
  });
  if (config.serial.some(({ type }) => type === 'console')) remarks.push(say('remarkSerial'));
}

function clock(config: VmConfig, add: Add, remarks: Saying[]): void {
  if (config.timekeeping === 'instructions') {
    add(
      say('explainIcount'),
      '-icount',
      'shift=0,sleep=on',
      '-rtc',
      `base=${new Date(INSTRUCTION_CLOCK_START_MS).toISOString().slice(0, 19)},clock=vm`,
    );
    remarks.push(say('remarkIcount'));
  } else
    add(
      config.clock === 'utc' ? say('explainUtc') : say('explainLocaltime'),
      '-rtc',
      `base=${config.clock === 'utc' ? 'utc' : 'localtime'}`,
    );
}

function debug(config: VmConfig, add: Add): void {
  const { gdb, wait } = config.debug;
  if (!gdb) return;
  add(say('explainGdb'), '-gdb', gdb.type === 'tcp' ? `tcp:127.0.0.1:${gdb.port}` : `unix:${optionValue(gdb.path)},server=on,wait=off`);
  if (wait) add(say('explainGdbWait'), '-S');
}

function differences(config: VmConfig, remarks: Saying[]): void {
  if (config.paravirt) remarks.push(say('remarkParavirt'));
  if (config.cpu.model === 'x86-64-v2' || config.cpu.model === 'x86-64-v3') remarks.push(say('remarkCpu'));
  if (config.drives.some(({ id }) => busOf(id) === 'sata')) remarks.push(say('remarkAhci'));
  if (config.usb?.tablet) remarks.push(say('remarkXhci'));
  remarks.push(say('remarkTables'));
}

/** The next power of two, 1 to 256. */
function powerOfTwo(mib: number): number {
  return 2 ** Math.ceil(Math.log2(mib));
}

function shellCommand(options: readonly ExplainedOption[]): string {
  return [PROGRAM, ...options.map(({ words }) => `  ${words.map(shellWord).join(' ')}`)].join(' \\\n');
}
