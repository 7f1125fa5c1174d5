import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ContractClient } from '../../core/contract/client.ts';
import { memoryLine } from '../../core/manager/testing/harness.ts';
import { openManager } from '../../core/server/openmanager.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { machineOn } from './support/machineonnetwork.ts';
import { Namespace, noNamespaces } from './support/namespaces/namespace.ts';
import { NamespaceRunner } from './support/namespaces/runner.ts';
import { servePage } from './support/namespaces/transfers.ts';

/** Debian's Linux in a machine on a host-only network, whose host is a network namespace: the whole way, from the card to the other kernel and back. */
const ENTRY = new URL('../../core/cli/main.ts', import.meta.url).href;
const BYTES = 4_000_000;
const missing = noNamespaces();
if (missing) console.log(`a guest on a host-only network is not tested: ${missing}`);

test.skipIf(missing)(
  'a guest gets its address, pings this computer, fetches from it and is reached by it',
  { timeout: 400_000 },
  async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'hv-hostonly-'));
    const host = await Namespace.open();
    const at = (name: string) => path.join(root, name);
    const manager = await openManager({
      folders: { library: at('machines'), libraryFrom: 'usual', config: at('config'), runtime: at('run'), locks: at('locks') },
      entry: ENTRY,
      version: '0.0.0',
      mode: 'headless',
      log: nullLogger,
      networkLauncher: host.launcher,
      hostRunner: new NamespaceRunner(host),
    });
    try {
      const [mine, theirs] = memoryLine();
      manager.connect(theirs);
      const client = new ContractClient(mine);
      const dhcp = { from: '10.9.0.50', to: '10.9.0.60' };
      await client.call('network.create', { name: 'Lab', kind: 'host-only', subnet: '10.9.0.0/24', dhcp });
      // The card leaves checksums and segmentation to the device.
      const { id, terminal, address, lease } = await machineOn(manager, client, 'guest', 'virtio', 'lab');
      expect(address).toBe('10.9.0.50');
      // There is no way out here.
      expect(lease).toMatch(/router=$/);
      // Of several, busybox waits for the last no longer than twice the slowest took.
      await terminal.ask('ping -c 1 -W 20 10.9.0.1; echo "END"', /1 packets received[\s\S]*END/);
      const page = await servePage(host, '10.9.0.1', BYTES);
      await terminal.ask(`wget -q -O /page http://10.9.0.1:${page.port}/; md5sum /page`, new RegExp(`${page.md5}  /page`));
      await terminal.ask('httpd -p 80 -h / && echo "SERVES"', /SERVES\s/);
      const back = await host.run(
        process.execPath,
        '-e',
        `fetch('http://${address}/page').then(async (r) => console.log(require('node:crypto').createHash('md5').update(Buffer.from(await r.arrayBuffer())).digest('hex')))`,
      );
      expect(back.trim()).toBe(page.md5);
      const [network] = (await client.call('network.list', {})).filter((each) => each.id === 'lab');
      expect(network).toMatchObject({ state: 'active', members: [{ address }] });
      await client.call('vm.forceOff', { id });
    } finally {
      await manager.close();
      await host.close();
      rmSync(root, { recursive: true, force: true });
    }
  },
);
