import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { bootCards } from '../contract/boot.ts';
import type { NicModel } from '../contract/networks.ts';
import type { FirmwareKind } from '../contract/vm.ts';
import type { VmProcessStart } from '../engine/builtin/protocol.ts';
import type { MachineDefinition } from '../machine/definition.ts';
import { INSTRUCTION_CLOCK_START_MS } from '../machine/instructionclock.ts';
import { findNetworkRom, findUefi, UEFI_FIX } from '../platform/firmware.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { bayOf } from './drivebay.ts';

/** What a machine is made of: its configuration with the files that it names read. Rejects with 'not-found', naming the file. */
export async function readDefinition(
  { config, folder, firmwareFolder, uefiImage }: VmProcessStart,
  how: { unpaced: boolean; debugExit: boolean },
): Promise<MachineDefinition> {
  const [bios, vgaBios] = await Promise.all([
    config.firmware === 'uefi' ? readUefi(uefiImage ?? findUefi(firmwareFolder).file) : readFirmware(firmwareFolder, 'bios-256k.bin'),
    readFirmware(firmwareFolder, 'vgabios-stdvga.bin'),
  ]);
  const direct = config.boot.kernel;
  const files = {
    kernel: path.resolve(folder, direct?.path ?? ''),
    initrd: direct?.initrd ? path.resolve(folder, direct.initrd) : undefined,
  };
  const started = bootCards(config).map(({ id }) => id);
  const counted = config.timekeeping === 'instructions';
  return {
    name: config.name,
    uuid: config.id,
    cpuModel: config.cpu.model,
    ramBytes: config.memoryMiB * 1024 * 1024,
    vramBytes: config.display.vramMiB * 1024 * 1024,
    ...(config.display.model === 'virtio' ? { display: 'virtio' } : {}),
    bios,
    vgaBios,
    drives: config.drives.map(bayOf),
    cards: await Promise.all(
      config.network.map(async ({ id, model, mac }) => ({
        id,
        model,
        mac,
        ...(started.includes(id) ? { bootRom: await readNetworkRom(firmwareFolder, model, config.firmware) } : {}),
      })),
    ),
    ...(config.usb ? { usb: config.usb } : {}),
    bootOrder: config.boot.order,
    bootMenu: config.boot.menu,
    bootMenuSeconds: config.boot.menuSeconds,
    directBoot: direct
      ? {
          kernel: await readImage(files.kernel),
          initrd: files.initrd === undefined ? undefined : await readImage(files.initrd),
          cmdline: direct.cmdline,
          label: path.basename(direct.path),
          files,
        }
      : undefined,
    serialPorts: config.serial.length,
    hpet: config.hpet,
    paravirt: config.paravirt,
    time: counted ? { source: 'instructions', startMs: INSTRUCTION_CLOCK_START_MS, paced: !how.unpaced } : { source: 'host' },
    // A machine that is to be the same everywhere has no time zone.
    clockOffsetMs: config.clock === 'localtime' && !counted ? -new Date().getTimezoneOffset() * 60_000 : 0,
    debugExit: how.debugExit,
  };
}

/** A file as an array that owns its memory, without a second copy that stays until somebody collects it. */
async function bytesOf(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file);
  return bytes.byteLength === bytes.buffer.byteLength ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes);
}

async function readFirmware(folder: string, name: string): Promise<Uint8Array> {
  try {
    return await bytesOf(path.join(folder, name));
  } catch (cause) {
    throw new HypervueError(
      'not-found',
      say('firmwareGone', { name }),
      { path: path.join(folder, name), operation: 'start' },
      say('fixFirmwareGone'),
      cause,
    );
  }
}

async function readUefi(file: string): Promise<Uint8Array> {
  try {
    if (file === '') throw new Error('no image was found');
    return await bytesOf(file);
  } catch (cause) {
    throw new HypervueError('not-found', say('uefiGone'), { ...(file ? { path: file } : {}), operation: 'start' }, UEFI_FIX, cause);
  }
}

async function readNetworkRom(firmwareFolder: string, model: NicModel, firmware: FirmwareKind): Promise<Uint8Array> {
  const file = findNetworkRom(firmwareFolder, model, firmware);
  if (file === undefined) throw new HypervueError('not-found', say('networkRomGone', { model }), { operation: 'start' }, say('fixIpxe'));
  return await bytesOf(file);
}

async function readImage(file: string): Promise<Uint8Array> {
  try {
    return await bytesOf(file);
  } catch (cause) {
    throw new HypervueError(
      'not-found',
      say('bootUnreadable', { file }),
      { path: file, operation: 'direct boot' },
      say('fixBootPaths'),
      cause,
    );
  }
}
