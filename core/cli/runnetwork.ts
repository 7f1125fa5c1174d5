import { stat } from 'node:fs/promises';
import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import { type BootSource, isBootUrl, MAX_BOOT_FILE, type NetPlace } from '../contract/networks.ts';
import type { ForwardRule } from '../net/forwards.ts';
import { NetworkHost } from '../netprocess/networkhost.ts';
import { NodeNetwork } from '../platform/nethost.ts';
import { HypervueError } from '../util/errors.ts';

/** The one card of a machine that runs without a library. Its address is what QEMU gives its first card. */
export const RUN_CARD = { id: 'net0' satisfies NetPlace, mac: '52:54:00:12:34:56' } as const;
const SUBNET = '192.168.100.0/24';
const RANGE = { from: '192.168.100.128', to: '192.168.100.254' };

export interface RunForward {
  protocol: 'tcp' | 'udp';
  hostPort: number;
  guestPort: number;
}

interface BootOptions {
  netboot?: string;
  tftp?: string;
  kernel?: string;
}

/** What the card is started from: a file of the folder, or a URL. Throws 'invalid-argument' for what can't be. */
export async function runBoot({ netboot: file, tftp, kernel }: BootOptions): Promise<BootSource | null> {
  const refused = (message: string, fix: string) => new HypervueError('invalid-argument', message, { operation: 'run' }, fix);
  if (file === undefined) {
    if (tftp !== undefined) throw refused('--tftp is a folder of what is started', 'Name the file in it with --netboot.');
    return null;
  }
  if (kernel !== undefined) throw refused('a kernel is started without the network', 'Leave out --kernel or --netboot.');
  if (file === '' || Buffer.byteLength(file) > MAX_BOOT_FILE)
    throw refused(`the name after --netboot must have 1 to ${MAX_BOOT_FILE} bytes`, 'Give it a shorter one.');
  if (tftp === undefined) {
    if (!isBootUrl(file)) throw refused(`the file ${file} is in no folder`, 'Name its folder with --tftp, or give a URL.');
    return { file, folder: null };
  }
  const folder = path.resolve(tftp);
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw refused(`the folder ${folder} is not there`, 'Name one that is with --tftp.');
  return { file, folder };
}

/** `2222:22`, or `udp:5353:53`. */
export function runForward(text: string): RunForward {
  const parts = /^(?:(tcp|udp):)?(\d{1,5}):(\d{1,5})$/.exec(text);
  const [hostPort, guestPort] = [Number(parts?.[2]), Number(parts?.[3])];
  if (!parts || ![hostPort, guestPort].every((port) => port >= 1 && port <= 65_535))
    throw new InvalidArgumentError('must be this computer’s port and the machine’s, as 2222:22 or udp:5353:53');
  return { protocol: parts[1] === 'udp' ? 'udp' : 'tcp', hostPort, guestPort };
}

const ruleOf = (vm: string, { protocol, hostPort, guestPort }: RunForward, index: number): ForwardRule => ({
  id: String(index),
  protocol,
  hostAddress: '127.0.0.1',
  hostPort,
  vm,
  card: RUN_CARD.id,
  guestPort,
});

/**
 * A NAT network for one machine, in this process, with its socket in `folder`. `failed` is told of a port that can't be listened on. Rejects with the system's error when
 * the socket can't be made.
 */
export async function openRunNetwork(
  vm: string,
  folder: string,
  { forwards, boot }: { forwards: readonly RunForward[]; boot: BootSource | null },
  failed: (error: HypervueError) => void,
): Promise<{ socket: string; close(): void }> {
  const socket = process.platform === 'win32' ? `\\\\.\\pipe\\hypervue-run-${process.pid}` : path.join(folder, 'network');
  const host = new NetworkHost(
    {
      kind: 'nat',
      subnet: SUBNET,
      dhcp: RANGE,
      forwards: forwards.map((each, index) => ruleOf(vm, each, index)),
      leases: [],
      boot,
      members: [{ vm, card: RUN_CARD.id, mac: RUN_CARD.mac }],
      socket,
    },
    new NodeNetwork(),
    (message) => {
      const problem = message.type === 'status' ? message.problems[0] : undefined;
      const forward = problem && forwards[Number(problem.id)];
      if (!forward) return;
      failed(
        new HypervueError(
          'io-error',
          `port ${forward.hostPort} of this computer can't be listened on (${problem.code})`,
          { object: String(forward.hostPort), operation: 'listen', code: problem.code },
          'Name another with --forward, or end what has it.',
        ),
      );
    },
  );
  await host.listen();
  return { socket, close: () => host.close() };
}
