/** Snapshots of machines whose disks are raw or encrypted, and of saved machines. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { VmSummary } from '../../contract/vm.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { openImage } from '../../platform/openimage.ts';
import { failureOf, Harness } from '../testing/harness.ts';

const MIB = 1024 * 1024;
let h: Harness;

beforeAll(async () => {
  h = await Harness.open();
});
afterAll(async () => {
  await h.close();
});

let count = 0;
async function made(format: 'raw' | 'qcow2', passphrase?: string): Promise<VmSummary> {
  const vm = await h.fake(`O${++count}`, '');
  const name = format === 'raw' ? 'disk.img' : 'disk.qcow2';
  await createDisk(path.join(vm.folder, name), { format, sizeBytes: 4 * MIB, ...(passphrase ? { passphrase, luksIterations: 1000 } : {}) });
  return h.call('vm.update', { id: vm.id, patch: { drives: [{ id: 'ide0', kind: 'disk', path: name, format, readOnly: false }] } });
}

/** The machine's disk by the name that it has now. */
async function disk({ id, folder }: VmSummary) {
  const { path: file, format } = (await h.get(id)).config!.drives[0]!;
  return { file: path.resolve(folder, file!), format };
}

async function put(vm: VmSummary, byte: number, passphrase?: string): Promise<void> {
  const { file, format } = await disk(vm);
  const image = await openImage(file, { readOnly: false, format, passphrase });
  await image.write(0, new Uint8Array(65536).fill(byte));
  await image.close();
}

async function get(vm: VmSummary, passphrase?: string): Promise<number> {
  const { file, format } = await disk(vm);
  const image = await openImage(file, { readOnly: true, format, passphrase });
  const bytes = new Uint8Array(1);
  await image.read(0, bytes);
  await image.close();
  return bytes[0]!;
}

const take = ({ id }: VmSummary, name: string, memory = true) => h.call('snapshot.take', { id, name, memory });
const revert = ({ id }: VmSummary, snapshot: string) => h.call('snapshot.revert', { id, snapshot });
const typed = async ({ id }: VmSummary) => (await h.call('vm.screenText', { id }))!.rows[1];
const check = async (vm: VmSummary) => execFileSync('qemu-img', ['check', '-q', (await disk(vm)).file]);

describe('snapshots of a machine with a raw disk', () => {
  test('lie in an image on top of it, which the machine goes on with; the raw file stays as it is', async () => {
    const vm = await made('raw');
    await put(vm, 1);
    expect((await h.call('snapshot.planTake', { id: vm.id })).map(({ code }) => code)).toEqual(['overlaysDisk']);
    const raw = path.join(vm.folder, 'disk.img');
    const before = readFileSync(raw);
    const one = await take(vm, 'one');
    expect(one.disks).toEqual([{ drive: 'ide0', path: 'disk.qcow2' }]);
    expect((await h.get(vm.id)).config!.drives[0]).toMatchObject({ path: 'disk.qcow2', format: 'qcow2' });
    expect(await get(vm)).toBe(1);
    await put(vm, 2);
    expect(await h.call('snapshot.planTake', { id: vm.id })).toEqual([]);
    const two = await take(vm, 'two');
    // One image holds all of them: there is no chain that grows.
    expect(readdirSync(vm.folder).filter((name) => name.endsWith('.qcow2'))).toEqual(['disk.qcow2']);
    await revert(vm, one.id);
    expect(await get(vm)).toBe(1);
    await revert(vm, two.id);
    expect(await get(vm)).toBe(2);
    expect(readFileSync(raw).equals(before)).toBe(true);
    const branch = await h.call('snapshot.clone', { id: vm.id, snapshot: one.id, name: `Branch ${count}`, linked: false });
    expect(await get(branch)).toBe(1);
    for (const { id } of [one, two]) await h.call('snapshot.delete', { id: vm.id, snapshot: id });
    expect(await get(vm)).toBe(2);
    await check(vm);
  });

  test('also while it runs', async () => {
    const vm = await made('raw');
    await put(vm, 5);
    await h.call('vm.start', { id: vm.id });
    await h.call('vm.typeText', { id: vm.id, text: 'then' });
    expect((await h.call('snapshot.planTake', { id: vm.id })).map(({ code }) => code)).toEqual(['overlaysDisk', 'standsShortly']);
    const one = await take(vm, 'one');
    // The file on top belongs to the running machine.
    const { file } = await disk(vm);
    expect((await failureOf(h.call('storage.delete', { path: file }))).kind).toBe('in-use');
    await h.call('vm.typeText', { id: vm.id, text: ' now' });
    await revert(vm, one.id);
    expect(await typed(vm)).toBe('then');
    await h.call('vm.forceOff', { id: vm.id });
    expect(await get(vm)).toBe(5);
    await check(vm);
    await h.call('vm.start', { id: vm.id });
    await h.call('vm.forceOff', { id: vm.id });
  });

  test('whose file is gone are refused, and nothing is changed', async () => {
    const vm = await made('raw');
    const before = (await h.get(vm.id)).config;
    execFileSync('mv', [path.join(vm.folder, 'disk.img'), path.join(vm.folder, 'elsewhere.img')]);
    expect((await failureOf(take(vm, 'x'))).kind).toBe('not-found');
    expect((await h.get(vm.id)).config).toEqual(before);
    expect(existsSync(path.join(vm.folder, 'snapshots'))).toBe(false);
  });
});

test('snapshots of a machine with an encrypted disk need no passphrase while it is off', async () => {
  const secret = 'secret';
  const vm = await made('qcow2', secret);
  await put(vm, 1, secret);
  const one = await take(vm, 'one');
  await put(vm, 2, secret);
  const two = await take(vm, 'two');
  await revert(vm, one.id);
  expect(await get(vm, secret)).toBe(1);
  await revert(vm, two.id);
  expect(await get(vm, secret)).toBe(2);
  await h.call('snapshot.delete', { id: vm.id, snapshot: one.id });
  await h.call('snapshot.delete', { id: vm.id, snapshot: two.id });
  expect(await get(vm, secret)).toBe(2);
});

describe('snapshots of a saved machine', () => {
  async function saved(): Promise<VmSummary> {
    const vm = await made('qcow2');
    await h.call('vm.start', { id: vm.id });
    await h.call('vm.typeText', { id: vm.id, text: 'saved' });
    await h.call('vm.saveState', { id: vm.id });
    return vm;
  }

  test('take its memory along, and it can still go on', async () => {
    const vm = await saved();
    expect((await h.call('snapshot.planTake', { id: vm.id })).map(({ code }) => code)).toEqual(['keepsMemory']);
    const one = await take(vm, 'one');
    expect(one).toMatchObject({ kind: 'memory', state: 'running', pauseMs: null });
    expect(one.memoryBytes).toBeGreaterThan(0);
    expect((await h.get(vm.id)).state).toBe('saved');
    const disksOnly = await take(vm, 'disks', false);
    expect(disksOnly).toMatchObject({ kind: 'disk', state: 'off' });
    await h.call('snapshot.delete', { id: vm.id, snapshot: disksOnly.id });
    // The disk's file was changed three times, and is what the guest left.
    await h.call('vm.start', { id: vm.id });
    expect(await typed(vm)).toBe('saved');
    await h.call('vm.typeText', { id: vm.id, text: ' and gone on' });
    await h.call('vm.forceOff', { id: vm.id });
    expect(readdirSync(vm.folder).filter((name) => name.startsWith('saved'))).toEqual([]);
    expect((await revert(vm, one.id)).state).toBe('running');
    expect(await typed(vm)).toBe('saved');
    await h.call('vm.forceOff', { id: vm.id });
    await check(vm);
  });

  test('do not make good what somebody else changed', async () => {
    const vm = await saved();
    const { file } = await disk(vm);
    utimesSync(file, new Date(), new Date(Date.now() + 60_000));
    expect((await failureOf(take(vm, 'x'))).kind).toBe('invalid-state');
    expect((await failureOf(h.call('vm.start', { id: vm.id }))).dto.context.reason).toBe('disks-changed');
    const other = await saved();
    await take(other, 'one');
    utimesSync((await disk(other)).file, new Date(), new Date(Date.now() + 60_000));
    expect((await failureOf(h.call('vm.start', { id: other.id }))).dto.context.reason).toBe('disks-changed');
  });

  test('that were cut off are absent, and the machine can go on', async () => {
    const vm = await saved();
    const { config } = await h.get(vm.id);
    const id = '0123456789abcdef';
    const one = await take(vm, 'one');
    // As after a crash right after a second one was begun and the disk had it.
    execFileSync('qemu-img', ['snapshot', '-c', `hypervue-${id}`, (await disk(vm)).file]);
    const disks = [{ drive: 'ide0', path: config!.drives[0]!.path }];
    writeFileSync(path.join(vm.folder, 'snapshots', 'journal.json'), JSON.stringify({ operation: 'take', id, disks, saved: true }));
    await h.call('vm.start', { id: vm.id });
    expect(await typed(vm)).toBe('saved');
    expect((await h.call('snapshot.list', { id: vm.id })).snapshots.map((each) => each.id)).toEqual([one.id]);
    await h.call('vm.forceOff', { id: vm.id });
    await check(vm);
  });
});
