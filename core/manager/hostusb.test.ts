import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { failureOf, Harness } from './testing/harness.ts';

/** USB devices of this computer with a machine; what its process does with them is tested in core/vmprocess/vmusb.test.ts. */
let h: Harness;
beforeEach(async () => {
  h = await Harness.open();
});
afterEach(() => h.close());

const device = { vendorId: '046d', productId: 'c52b', serial: 'A 1' };

test.runIf(process.platform === 'linux')(
  'are its until they are taken back or it is off, and everybody who looks hears of it',
  async () => {
    const { id } = await h.fake('One');
    const list = () => h.call('vm.usb.list', { id });
    expect(await list()).toEqual([]);
    expect(await failureOf(h.call('vm.usb.attach', { id, device }))).toMatchObject({ kind: 'invalid-state' });
    await h.call('vm.start', { id });
    let changes = 0;
    h.client.on('vm.changed', (vm) => {
      if (vm.id === id) changes++;
    });
    const heard = async (work: Promise<unknown>) => {
      const before = changes;
      await work;
      // It comes before the answer.
      expect(changes).toBeGreaterThan(before);
    };
    await heard(h.call('vm.usb.attach', { id, device }));
    expect(await list()).toEqual([device]);
    await h.call('vm.pause', { id });
    expect(await list()).toEqual([device]);
    await heard(h.call('vm.usb.detach', { id, device }));
    expect(await list()).toEqual([]);
    const fleeting = { ...device, serial: 'fleeting' };
    await h.call('vm.usb.attach', { id, device: fleeting });
    const told = changes;
    expect(await list()).toEqual([fleeting]);
    await vi.waitFor(() => expect(changes).toBeGreaterThan(told));
    expect(await list()).toEqual([]);
    await h.call('vm.usb.attach', { id, device });
    await h.call('vm.forceOff', { id });
    expect(await list()).toEqual([]);
  },
);
