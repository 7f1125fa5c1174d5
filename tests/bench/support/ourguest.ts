/** One guest on our machine, started by tests/bench/support/emulators.ts: `ourguest.ts ACCEL KERNEL INITRD CMDLINE MIB [MORE]`, more: what else it has, as JSON. COM1 goes to standard output. */
import { writeSync } from 'node:fs';
import { Guest } from '../../guests/support/guest.ts';
import { type Accel, type Boot, OUR_MODEL } from './emulators.ts';

const [accel, kernel, initrd, cmdline, mebibytes, more = '{}'] = process.argv.slice(2) as [Accel, string, string, string, string, string?];
const { drives = [], card } = JSON.parse(more) as Pick<Boot, 'drives' | 'card'>;
const options = {
  kernel: { path: kernel, initrd, cmdline },
  memoryMiB: Number(mebibytes),
  drives,
  ...(card ? { network: [{ id: 'net0' as const, ...card }] } : {}),
  cpu: OUR_MODEL,
  accel,
};
const guest = await new Guest(options).start();
guest.vm.serial[0]!.onOutput = (bytes) => {
  writeSync(1, bytes);
};
guest.vm.onState.on(({ state }) => {
  if (state === 'off' || state === 'crashed') process.exit(state === 'off' ? 0 : 1);
});
process.on('SIGTERM', async () => {
  await guest.end();
  process.exit(0);
});
