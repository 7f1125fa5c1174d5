import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BridgeWizard } from '../../core/manager/networks/host/bridgewizard.ts';
import { HostNetworkDevices } from '../../core/manager/networks/host/hostnetworkdevices.ts';
import { Namespace, noNamespaces } from './support/namespaces/namespace.ts';
import { NamespaceRunner } from './support/namespaces/runner.ts';
import { transfer } from './support/namespaces/transfers.ts';

/** A bridge made of an uplink for real, in a network namespace that is this computer, with another computer beyond the uplink. */
const missing = noNamespaces();
if (missing) console.log(`the bridge wizard is not tested: ${missing}`);
const APPLIER = fileURLToPath(new URL('support/namespaces/applybridge.ts', import.meta.url));

let root: string;
let host: Namespace;
let other: Namespace;
let wizard: BridgeWizard;
let before: string;

/** Addresses and routes as `ip` lists them; without what the kernel counts, or sets anew whenever a cable is plugged in. */
async function state(): Promise<string> {
  const said = await Promise.all([
    host.ip('-json', 'address', 'show'),
    host.ip('-json', '-4', 'route', 'show', 'table', 'all'),
    host.ip('-json', '-6', 'route', 'show', 'table', 'all'),
  ]);
  return JSON.stringify(
    said.map((json) => JSON.parse(json)),
    null,
    1,
  );
}

/** Until nothing is tentative any more: IPv6 asks whether somebody has an address already. */
async function settled(): Promise<string> {
  for (const end = Date.now() + 30_000; ; ) {
    const now = await state();
    const plain = !now.includes('"tentative"') && !now.includes('"linkdown"');
    if (plain && (now.match(/fe80::/g)?.length ?? 0) >= 2) return now;
    if (Date.now() > end) throw new Error(`addresses stay tentative: ${now}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Until all is exactly as it was. */
async function restored(timeoutMs = 60_000): Promise<void> {
  let now = '';
  for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
    now = await state();
    if (now === before) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(now).toBe(before);
}

describe.skipIf(missing)('the bridge wizard', { timeout: 240_000 }, () => {
  beforeEach(async () => {
    root = mkdtempSync(path.join(tmpdir(), 'hv-wizard-'));
    [host, other] = await Promise.all([Namespace.open(), Namespace.open()]);
    await host.ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'there', 'netns', String(other.pid));
    await other.ip('address', 'add', '10.8.0.1/24', 'dev', 'there');
    await other.ip('-6', 'address', 'add', '2001:db8::1/64', 'dev', 'there', 'nodad');
    await other.ip('link', 'set', 'dev', 'there', 'up');
    await host.ip('link', 'set', 'dev', 'uplink', 'up');
    for (const address of ['10.8.0.2/24', '10.8.0.3/24', '2001:db8::2/64', '2001:db8::3/64'])
      await host.ip('address', 'add', address, 'dev', 'uplink');
    await host.ip('route', 'add', 'default', 'via', '10.8.0.1', 'dev', 'uplink', 'proto', 'dhcp', 'metric', '100');
    await host.ip('route', 'add', '10.20.0.0/16', 'via', '10.8.0.1', 'src', '10.8.0.3');
    await host.ip('-6', 'route', 'add', 'default', 'via', '2001:db8::1', 'dev', 'uplink', 'metric', '1024');
    before = await settled();
    wizard = new BridgeWizard({
      devices: new HostNetworkDevices(new NamespaceRunner(host), root),
      runtimeFolder: root,
      read: () => undefined,
      changed: () => {},
    });
  });
  afterEach(async () => {
    wizard.close();
    const guard = await guardOf();
    for (const space of [host, other]) await space.close();
    if (guard !== undefined) {
      // Without its namespace it has nothing left to do; by itself it would wait for its time.
      try {
        process.kill(guard, 'SIGKILL');
      } catch {
        // It is over.
      }
    }
    rmSync(root, { recursive: true, force: true });
  });

  async function guardOf(): Promise<number | undefined> {
    try {
      return (JSON.parse(readFileSync(path.join(root, 'bridge-trial', 'trial.json'), 'utf8')) as { pid: number }).pid;
    } catch {
      return undefined;
    }
  }

  test('a bridge that is kept has the addresses and routes of its uplink, and leads where that led', async () => {
    expect(await wizard.uplinks()).toMatchObject([{ device: 'uplink', up: true, carrier: true, defaultRoute: true, refusal: null }]);
    const { bridge, commands } = await wizard.plan('uplink');
    expect(await wizard.apply('uplink', bridge, 120)).toMatchObject({ bridge: 'br0', state: 'on' });
    await wizard.keep();
    expect(await wizard.trial()).toBeNull();
    // The bridge's own addresses are those that the uplink had; the uplink has none.
    const addresses = (json: string, name: string) =>
      ((JSON.parse(json) as { ifname: string; addr_info: { local: string }[] }[]).find(({ ifname }) => ifname === name)?.addr_info ?? [])
        .map(({ local }) => local)
        .filter((local) => !local.startsWith('fe80'));
    const now = await host.ip('-json', 'address', 'show');
    expect(addresses(now, 'br0')).toEqual(['10.8.0.2', '10.8.0.3', '2001:db8::3', '2001:db8::2']);
    expect(addresses(now, 'uplink')).toEqual([]);
    expect(await host.ip('route', 'show')).toMatch(/default via 10\.8\.0\.1 dev br0 proto dhcp metric 100/);
    expect(await host.ip('-6', 'route', 'show', 'default')).toMatch(/via 2001:db8::1 dev br0/);
    expect(await transfer(other, '10.8.0.1', host, 1_000_000)).toBe('whole');
    expect(commands[0]).toContain('link add name br0');
    expect(await wizard.uplinks()).toMatchObject([{ refusal: { key: 'uplinkInBridge', params: { bridge: 'br0' } } }]);
  });

  test('one that nobody keeps is taken back when its time is over, and one that somebody takes back at once', async () => {
    const trial = await wizard.apply('uplink', 'br0', 8);
    expect(trial.leftMs).toBeLessThanOrEqual(8000);
    expect(await state()).not.toBe(before);
    await restored();
    expect(await wizard.trial()).toBeNull();
    await expect(wizard.keep()).rejects.toMatchObject({ kind: 'timeout' });
    await wizard.apply('uplink', 'br0', 600);
    await wizard.undo();
    await restored();
  });

  test('one whose manager was killed is taken back all the same; so is one whose service is stopped', async () => {
    for (const stopped of [false, true]) {
      const manager = host.node(APPLIER, root, 'uplink', 'br0', stopped ? '600' : '8');
      await new Promise<void>((resolve, reject) => {
        manager.once('message', () => resolve());
        manager.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
      });
      expect(await state()).toContain('"br0"');
      manager.kill('SIGKILL');
      // A service manager ends all of a service's processes.
      if (stopped) process.kill((await guardOf())!, 'SIGTERM');
      await restored();
    }
  });

  test('where a step fails all is as it was before, and what stood in the way stays', async () => {
    // An address that the bridge can't have: somebody took IPv6 away from new interfaces.
    await host.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6');
    await expect(wizard.apply('uplink', 'br0', 30)).rejects.toMatchObject({ kind: 'io-error', context: { object: 'br0' } });
    await restored();
    expect(await wizard.trial()).toBeNull();
    // Somebody else's bridge came between plan and apply.
    const runner = new NamespaceRunner(host);
    const { devices } = { devices: new HostNetworkDevices(runner, root) };
    const late = new BridgeWizard({ devices, runtimeFolder: root, read: () => undefined, changed: () => {} });
    const begin = runner.begin.bind(runner);
    runner.begin = async (...words) => {
      await host.ip('link', 'add', 'br0', 'type', 'bridge');
      return begin(...words);
    };
    await expect(late.apply('uplink', 'br0', 30)).rejects.toMatchObject({ kind: 'io-error', message: expect.stringContaining('exists') });
    late.close();
    expect(await host.ip('-brief', 'link')).toContain('br0');
  });
});
