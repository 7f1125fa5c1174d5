import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ContractClient } from '../../core/contract/client.ts';
import type { NetworkStatus, NicModel } from '../../core/contract/networks.ts';
import type { ByteChannel } from '../../core/contract/transport.ts';
import type { VmConfig } from '../../core/contract/vm.ts';
import type { Manager } from '../../core/manager/manager.ts';
import type { NetworkLauncher } from '../../core/manager/networks/networkprocess.ts';
import { memoryLine } from '../../core/manager/testing/harness.ts';
import type { FromNetworkProcess, ToNetworkProcess } from '../../core/net/processprotocol.ts';
import { ChildProcessLauncher, networkProcessEntry } from '../../core/platform/childlauncher.ts';
import { openManager } from '../../core/server/openmanager.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { cardInitramfs } from './support/cardinitramfs.ts';
import { FAST_BOOT, linuxKernel } from './support/images.ts';

/** The whole of it: a manager, machines in processes of their own with Debian's Linux on cards of both models, and the process of their network. Nothing leaves this computer. */
const BYTES = 8_000_000;
const ENTRY = new URL('../../core/cli/main.ts', import.meta.url).href;
const root = mkdtempSync(path.join(tmpdir(), 'hv-onnet-'));
/** Processes of networks that were started. */
const networks: ReturnType<NetworkLauncher['launch']>[] = [];
let manager: Manager;
let client: ContractClient;

beforeAll(async () => {
  const at = (name: string) => path.join(root, name);
  manager = await openManager({
    folders: { library: at('machines'), libraryFrom: 'usual', config: at('config'), runtime: at('run'), locks: at('locks') },
    entry: ENTRY,
    version: '0.0.0',
    mode: 'headless',
    log: nullLogger,
    networkLauncher: {
      launch: (name) => {
        const handle = new ChildProcessLauncher<ToNetworkProcess, FromNetworkProcess>(networkProcessEntry(ENTRY)).launch(name);
        networks.push(handle);
        return handle;
      },
    },
  });
  const [mine, theirs] = memoryLine();
  manager.connect(theirs);
  client = new ContractClient(mine);
});
afterAll(async () => {
  await manager.close();
  rmSync(root, { recursive: true, force: true });
});

/** A machine's serial line. */
class Terminal {
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

/** A machine that is on, with its card up and an address by DHCP. */
async function machine(name: string, model: NicModel): Promise<{ id: string; terminal: Terminal; address: string }> {
  const { id } = await client.call('vm.create', { name, memoryMiB: 128, source: { type: 'blank' }, newDisk: null });
  const kernel = {
    path: linuxKernel('amd64'),
    initrd: cardInitramfs('amd64', model),
    cmdline: `console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
  };
  const patch = {
    cpu: { model: 'x86-64' } as VmConfig['cpu'],
    boot: { order: ['disk'], menu: false, kernel } as unknown as VmConfig['boot'],
    network: [{ id: 'net0' as const, model, network: 'default', connected: true }],
  };
  await client.call('vm.update', { id, patch });
  await client.call('vm.start', { id });
  const terminal = new Terminal(await manager.openChannel(id, 'serial0'));
  await terminal.ask('', /[#$] /);
  await terminal.ask('sh /card/load', /CARD LOADED/);
  const [, address] = await terminal.ask('udhcpc -i eth0 -q -n -t 10 -s /card/leased', /LEASE ([\d.]+)\/.*router=192\.168\.100\.1/);
  return { id, terminal, address: address! };
}

const network = async (): Promise<NetworkStatus> => (await client.call('network.list', {}))[0]!;

async function until<T>(look: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await look();
    if (wanted(value)) return value;
    if (Date.now() > end) throw new Error(`it never came to be; last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Sends bytes to a port and ends; resolves with what came until the other side ended. */
function exchange(port: number, bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true }, () => socket.end(bytes));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => resolve(Buffer.concat(chunks)));
    socket.on('error', reject);
  });
}

test('machines get addresses, reach each other, are reached through a forward, and come back when their network was killed', {
  timeout: 400_000,
}, async () => {
  const port = await freePort();
  const [web, other] = await Promise.all([machine('web', 'e1000'), machine('other', 'virtio')]);
  expect(web.address).not.toBe(other.address);
  const forwards = [
    {
      id: 'echo',
      protocol: 'tcp' as const,
      hostAddress: '127.0.0.1',
      hostPort: port,
      vm: web.id,
      card: 'net0' as const,
      guestPort: 7000,
      description: '',
    },
  ];
  await client.call('network.update', { id: 'default', patch: { forwards } });
  const seen = await until(network, ({ members }) => members.every(({ address }) => address !== null));
  expect(seen).toMatchObject({ state: 'active', forwardProblems: [] });
  expect(seen.members.find(({ vm }) => vm === web.id)!.address).toBe(web.address);
  // What comes in is kept, counted, and sent back once it has ended.
  await web.terminal.ask(
    `(nc -l -p 7000 -e sh -c 'cat >/got; cat /got'; md5sum /got) & while ! grep -q ':1B58 0000' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done; echo "LISTENS"`,
    /LISTENS\s/,
  );
  const bytes = randomBytes(BYTES);
  const began = performance.now();
  const back = await exchange(port, bytes);
  console.log(`${BYTES} bytes both ways through a forward in ${Math.round(performance.now() - began)} ms`);
  expect(back.equals(bytes)).toBe(true);
  const md5 = createHash('md5').update(bytes).digest('hex');
  await web.terminal.until(new RegExp(`${md5}  /got`));
  // From machine to machine.
  await web.terminal.ask('httpd -p 80 -h / && echo "SERVES"', /SERVES\s/);
  await other.terminal.ask(`wget -q -O /copy http://${web.address}/got; md5sum /copy`, new RegExp(`${md5}  /copy`));
  // The other way, what the VirtIO card sends as a whole is cut for the other model; and once more after that machine was saved and goes on.
  await other.terminal.ask('httpd -p 80 -h / && echo "SERVES"', /SERVES\s/);
  const again = (terminal: Terminal) =>
    terminal.ask(`rm -f /again; wget -q -O /again http://${other.address}/copy; md5sum /again`, new RegExp(`${md5}  /again`));
  await again(web.terminal);
  await client.call('vm.saveState', { id: web.id });
  await client.call('vm.start', { id: web.id });
  await again(new Terminal(await manager.openChannel(web.id, 'serial0')));
  // The gateway answers, and is no way to services of this computer's loopback.
  await other.terminal.ask('ping -c 1 -W 20 192.168.100.1; echo "END"', /1 packets received[\s\S]*END/);
  await other.terminal.ask(`nc -w 5 192.168.100.1 ${port} </dev/null && echo "OPEN" || echo "SHUT"`, /SHUT\s/);
  // A crash of the network.
  const before = await other.terminal.ask('cat /sys/class/net/eth0/carrier_changes; echo "CHANGES"', /(\d+)\s+CHANGES/);
  expect(networks).toHaveLength(1);
  process.kill(networks[0]!.pid!, 'SIGKILL');
  await other.terminal.ask(
    `while [ $(cat /sys/class/net/eth0/carrier_changes) -lt $((${before[1]} + 2)) ]; do sleep 0.2; done; echo "BACK"`,
    /BACK\s/,
  );
  await other.terminal.ask(`ping -c 1 -W 20 ${web.address}; echo "END"`, /1 packets received[\s\S]*END/);
  expect((await network()).state).toBe('active');
  for (const { id } of [web, other]) await client.call('vm.forceOff', { id });
  await until(network, ({ state }) => state === 'idle');
});
