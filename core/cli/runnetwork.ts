import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { NetPlace } from '../contract/networks.ts';
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
  forwards: readonly RunForward[],
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
