import type { ContractClient } from '../../../core/contract/client.ts';
import type { NicModel } from '../../../core/contract/networks.ts';
import type { ByteChannel } from '../../../core/contract/transport.ts';
import type { VmConfig } from '../../../core/contract/vm.ts';
import type { Manager } from '../../../core/manager/manager.ts';
import { cardInitramfs } from './cardinitramfs.ts';
import { FAST_BOOT, linuxKernel } from './images.ts';

/** A machine's serial line. */
export class Terminal {
  private seen = '';
  private readonly channel: ByteChannel;

  constructor(channel: ByteChannel) {
    this.channel = channel;
    channel.onData((bytes) => {
      this.seen += Buffer.from(bytes).toString('latin1');
    });
  }

  async until(pattern: RegExp, from = 0, timeoutMs = 120_000): Promise<RegExpExecArray> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.seen.slice(from));
      if (match) return match;
      if (Date.now() > end) throw new Error(`${pattern} did not come; last: ${this.seen.slice(-1500)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  ask(line: string, pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray> {
    const from = this.seen.length;
    this.channel.send(Buffer.from(`${line}\n`));
    return this.until(pattern, from, timeoutMs);
  }
}

export interface MachineOnNetwork {
  id: string;
  terminal: Terminal;
  address: string;
  /** What DHCP gave, as the script for udhcpc says it. */
  lease: string;
}

/** A machine that is on, with Debian's Linux, its card up and an address by DHCP. */
export async function machineOn(
  manager: Manager,
  client: ContractClient,
  name: string,
  model: NicModel,
  network: string,
): Promise<MachineOnNetwork> {
  const { id } = await client.call('vm.create', { name, memoryMiB: 128, source: { type: 'blank' }, newDisk: null });
  const kernel = {
    path: linuxKernel('amd64'),
    initrd: cardInitramfs('amd64', model),
    cmdline: `console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
  };
  const patch = {
    cpu: { model: 'x86-64' } as VmConfig['cpu'],
    boot: { order: ['disk'], menu: false, kernel } as unknown as VmConfig['boot'],
    network: [{ id: 'net0' as const, model, network, connected: true }],
  };
  await client.call('vm.update', { id, patch });
  await client.call('vm.start', { id });
  const terminal = new Terminal(await manager.openChannel(id, 'serial0'));
  await terminal.ask('', /[#$] /);
  await terminal.ask('sh /card/load', /CARD LOADED/);
  const [lease, address] = await terminal.ask('udhcpc -i eth0 -q -n -t 10 -s /card/leased', /LEASE ([\d.]+)\/\d+ router=\S*/);
  return { id, terminal, address: address!, lease };
}
