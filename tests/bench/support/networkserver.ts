/**
 * The network of a bench in a process of its own, as the product has it, but with this computer's loopback for all the world: `networkserver.ts SOCKET MAC`. Says `ready`
 * on standard output once cards can come.
 */
import { NetworkHost } from '../../../core/netprocess/networkhost.ts';
import { GUEST_ID } from '../../guests/support/guest.ts';
import { LoopbackNetwork } from '../../guests/support/loopbacknetwork.ts';

const [socket, mac] = process.argv.slice(2) as [string, string];
const host = new NetworkHost(
  {
    kind: 'nat',
    subnet: '10.0.2.0/24',
    dhcp: { from: '10.0.2.15', to: '10.0.2.30' },
    forwards: [],
    leases: [],
    members: [{ vm: GUEST_ID, card: 'net0', mac }],
    socket,
  },
  new LoopbackNetwork(),
  () => {},
);
await host.listen();
console.log('ready');
process.on('SIGTERM', () => process.exit(0));
