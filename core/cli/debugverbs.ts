import path from 'node:path';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { gdbArchitectures, type GdbListen } from '../contract/debug.ts';
import { profileBetween } from '../cpu/profile.ts';
import type { GuestProfile } from '../cpu/statistics.ts';
import { HypervueError } from '../util/errors.ts';
import { profileReport } from './profilereport.ts';
import type { RunSession } from './session.ts';

/** A port number, or the path of a Unix socket. */
export function gdbAddress(text: string): GdbListen {
  if (!/^\d+$/.test(text)) return { type: 'unix', path: path.resolve(text) };
  if (Number(text) > 65535) throw new InvalidArgumentError('must be a port number below 65536 or a path');
  return { type: 'tcp', port: Number(text) };
}

export function gdbArchOption(): Option {
  return new Option(
    '--gdb-arch <name>',
    'registers that gdb sees and code it shows; x86-64 when the CPU model can run 64-bit code',
  ).choices([...gdbArchitectures]);
}

const positive = (value: string) => {
  const parsed = Number(value);
  if (!Number.isFinite(parsed) || parsed <= 0) throw new InvalidArgumentError('must be a number above 0');
  return parsed;
};

/** Verbs that look into a running machine: `gdb` and `profile`. */
export function addDebugVerbs(program: Command, run: RunSession): void {
  program
    .command('gdb <machine>')
    .addArgument(new Argument('[address]', 'port or socket').argParser(gdbAddress))
    .description('let gdb attach to a running machine, at a port of 127.0.0.1 (a free one without an address) or a Unix socket')
    .option('--close', 'end the debugger and close its port')
    .addOption(gdbArchOption())
    .action((machine: string, address: GdbListen | undefined, options: { close?: boolean; gdbArch?: (typeof gdbArchitectures)[number] }) =>
      run(false, async (session) => {
        const { id, name } = await session.machine(machine);
        if (options.close) {
          if (address !== undefined)
            throw new HypervueError('invalid-argument', '--close takes no address', { object: name, operation: 'gdb' });
          session.print(await session.client.call('vm.closeGdb', { id }), () => `${name}: no debugger can attach`);
          return;
        }
        const listen = address ?? { type: 'tcp' as const, port: 0 };
        const opened = await session.client.call('vm.openGdb', {
          id,
          address: listen,
          ...(options.gdbArch === undefined ? {} : { architecture: options.gdbArch }),
        });
        session.print(opened, ({ command }) => command);
      }),
    );
  program
    .command('profile <machine>')
    .description('where the time of a guest goes: hottest code, exits, page faults, interrupts, accesses to devices')
    .option('--seconds <count>', 'watch for this long; without it, everything since the machine started', positive)
    .option('--top <count>', 'places and ports listed', positive, 20)
    .option('--lines <count>', 'instructions shown of each place', positive, 4)
    .option('--code <count>', 'show the WebAssembly made of so many of the hottest compiled places, beside its guest code', positive, 0)
    .option('--symbols <file>', 'System.map or ELF file that names addresses')
    .action((machine: string, options: { seconds?: number; top: number; lines: number; code: number; symbols?: string }) =>
      run(false, async (session) => {
        const { id } = await session.machine(machine);
        const read = (top: number, count?: boolean): Promise<GuestProfile> =>
          session.client.call('vm.profile', {
            id,
            top,
            lines: Math.min(32, Math.floor(options.lines)),
            ...(count === undefined ? {} : { count }),
            generated: top ? Math.min(16, Math.floor(options.code)) : 0,
          }) as Promise<GuestProfile>;
        const top = Math.min(256, Math.floor(options.top));
        let profile: GuestProfile;
        if (options.seconds === undefined) profile = await read(top);
        else {
          const before = await read(0, true);
          await new Promise((resolve) => setTimeout(resolve, options.seconds! * 1000));
          profile = profileBetween(before, await read(top, false));
        }
        process.stdout.write(await profileReport(profile, { top, symbols: options.symbols, json: session.json }));
      }),
    );
}
