import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ContractClient } from '../../core/contract/client.ts';
import type { NetworkStatus } from '../../core/contract/networks.ts';
import type { Manager } from '../../core/manager/manager.ts';
import type { NetworkLauncher } from '../../core/manager/networks/networkprocess.ts';
import { memoryLine } from '../../core/manager/testing/harness.ts';
import type { FromNetworkProcess, ToNetworkProcess } from '../../core/net/processprotocol.ts';
import { ChildProcessLauncher, networkProcessEntry } from '../../core/platform/childlauncher.ts';
import { openManager } from '../../core/server/openmanager.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { machineOn, Terminal } from './support/machineonnetwork.ts';

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
  const [web, other] = await Promise.all([
    machineOn(manager, client, 'web', 'e1000', 'default'),
    machineOn(manager, client, 'other', 'virtio', 'default'),
  ]);
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
