/** `monitor` commands of the GDB stub: what the protocol itself has no packet for. Names follow QEMU's monitor where it has the same. */
import { formatProfile } from '../cpu/profile.ts';
import type { DebugTarget } from './debugrequest.ts';
import { dumpMemory, parseFormat } from './memorydump.ts';
import { readGenerated } from './readgenerated.ts';
import { readProfile } from './readprofile.ts';
import { dumpRegisters } from './registerdump.ts';

const HELP = `info registers        every register
info status           running or stopped
info profile          where the time of the guest went
x/FMT ADDRESS         memory at a linear address; FMT is a count, a format (x d u o c s i) and a size (b h w g)
xp/FMT ADDRESS        the same at a guest-physical address
code ADDRESS          what the recompiler made of the code at a linear address
gva2gpa ADDRESS       guest-physical address of a linear one
reset                 press the reset button
quit                  turn the machine off
`;

/** The command's output; says so when there is no such command. */
export async function runMonitorCommand(text: string, target: DebugTarget): Promise<string> {
  const [verb = '', ...words] = text.split(/\s+/);
  switch (verb) {
    case '':
    case 'help':
    case '?':
      return HELP;
    case 'info':
      return info(words[0] ?? '', target);
    case 'reset':
    case 'system_reset':
      await target.reset();
      return 'The machine was reset. gdb learns the new registers with `maintenance flush register-cache`.\n';
    case 'code': {
      const address = parseAddress(words.join(' '));
      if (address === undefined) return 'code needs an address\n';
      return `${(await readGenerated(target, address)).join('\n') || 'nothing compiled there'}\n`;
    }
    case 'gva2gpa': {
      const address = parseAddress(words.join(' '));
      if (address === undefined) return 'gva2gpa needs a number\n';
      const physical = await target.request<'translate'>({ op: 'translate', address });
      return physical === null ? 'not mapped\n' : `gpa: 0x${physical.toString(16)}\n`;
    }
  }
  const dump = /^(xp?)(?:\/(\S*))?$/.exec(verb);
  if (dump) {
    const address = parseAddress(words.join(' '));
    const format = parseFormat(dump[2] ?? '');
    if (address === undefined) return `${dump[1]} needs an address\n`;
    if (!format) return `unknown format ${dump[2]}\n`;
    return dumpMemory(target, dump[1] === 'xp' ? 'physical' : 'linear', address, format);
  }
  return `unknown command ${verb}; try help\n`;
}

async function info(what: string, target: DebugTarget): Promise<string> {
  switch (what) {
    case 'registers':
      return dumpRegisters(await target.request<'state'>({ op: 'state' }));
    case 'status':
      return `${target.name}: ${target.running ? 'running' : 'stopped'}\n`;
    case 'profile':
      return formatProfile(await readProfile(target, { top: 10, lines: 4 }), { top: 10 });
    default:
      return 'info registers, info status or info profile\n';
  }
}

/** Decimal, or hexadecimal with 0x; at most 64 bits. */
function parseAddress(text: string): bigint | undefined {
  return /^(0x[0-9a-fA-F]{1,16}|\d{1,19})$/.test(text) ? BigInt(text) : undefined;
}
