import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseXml } from '../../platform/ova/xmltree.ts';
import { failureOf, Harness } from '../testing/harness.ts';

const MIB = 1024 * 1024;
let h: Harness;

beforeEach(async () => {
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
});

const at = (name: string) => path.join(path.dirname(h.library), name);
const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { encoding: 'utf8' });

test('a machine goes out as OVA, which tar, sha256sum and qemu-img read, and comes in again', async () => {
  const vm = await h.create('Débian & "co"', { newDisk: { sizeBytes: 80 * MIB, format: 'qcow2' } });
  const disk = path.join(vm.folder, 'disk.qcow2');
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 1M 3M', '-c', 'write -P 9 70M 64k', disk]);
  writeFileSync(path.join(vm.folder, 'data.img'), Buffer.alloc(2 * MIB, 9));
  const drives = [...vm.config!.drives, { id: 'ide1', kind: 'disk', path: 'data.img', format: 'raw', readOnly: false } as const];
  await h.call('vm.update', { id: vm.id, patch: { drives, description: 'a < b', memoryMiB: 64 } });
  const file = at('out.ova');
  await h.call('vm.exportOva', { id: vm.id, file });
  expect((await failureOf(h.call('vm.exportOva', { id: vm.id, file }))).kind).toBe('already-exists');

  mkdirSync(at('unpacked'));
  execFileSync('tar', ['-xf', file, '-C', at('unpacked')]);
  expect(readdirSync(at('unpacked')).sort()).toEqual(['out-disk1.vmdk', 'out-disk2.vmdk', 'out.mf', 'out.ovf']);
  for (const line of readFileSync(path.join(at('unpacked'), 'out.mf'), 'utf8')
    .trim()
    .split('\n')) {
    const [, name, digest] = /^SHA256\((.*)\)= ([0-9a-f]{64})$/.exec(line)!;
    expect(
      createHash('sha256')
        .update(readFileSync(path.join(at('unpacked'), name!)))
        .digest('hex'),
    ).toBe(digest);
  }
  expect(qemuImg('compare', path.join(at('unpacked'), 'out-disk1.vmdk'), disk)).toContain('identical');
  expect(qemuImg('compare', '-F', 'raw', path.join(at('unpacked'), 'out-disk2.vmdk'), path.join(vm.folder, 'data.img'))).toContain(
    'identical',
  );

  const { machine, notes, saidNotes } = await h.call('vm.importOva', { file });
  expect(saidNotes).toEqual([{ key: 'noteName', params: { taken: 'Débian & "co"', name: machine.name } }]);
  expect(notes).toEqual([`Débian & "co" was taken; it is called ${machine.name}`]);
  expect(machine.config).toMatchObject({ memoryMiB: 64, description: 'a < b' });
  expect(machine.config!.drives.filter(({ kind }) => kind === 'disk').map(({ id }) => id)).toEqual(['ide0', 'ide1']);
  expect(qemuImg('compare', path.join(machine.folder, 'disk.qcow2'), disk)).toContain('identical');
  expect(qemuImg('compare', '-F', 'raw', path.join(machine.folder, 'disk2.qcow2'), path.join(vm.folder, 'data.img'))).toContain(
    'identical',
  );
  // The descriptor with its files beside it does too.
  expect((await h.call('vm.importOva', { file: path.join(at('unpacked'), 'out.ovf') })).machine.config!.memoryMiB).toBe(64);
});

test('what others wrote: units, controllers, SHA-1, flat files', async () => {
  mkdirSync(at('p'));
  writeFileSync(path.join(at('p'), 'd.raw'), Buffer.alloc(3 * MIB, 5));
  qemuImg('convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', path.join(at('p'), 'd.raw'), path.join(at('p'), 'd.vmdk'));
  const ovf = `<?xml version="1.0"?><ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="r">
    <ovf:References><ovf:File ovf:id="f" ovf:href="d.vmdk"/></ovf:References>
    <ovf:DiskSection><ovf:Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="4" ovf:capacityAllocationUnits="MegaBytes"/>
      <ovf:Disk ovf:diskId="e" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30"/></ovf:DiskSection>
    <ovf:VirtualSystem ovf:id="theirs"><ovf:VirtualHardwareSection>
      <ovf:Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></ovf:Item>
      <ovf:Item><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>GigaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>1</rasd:VirtualQuantity></ovf:Item>
      <ovf:Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></ovf:Item>
      <ovf:Item><rasd:ResourceType>17</rasd:ResourceType><rasd:Parent>3</rasd:Parent><rasd:HostResource>/disk/d</rasd:HostResource></ovf:Item>
      <ovf:Item><rasd:ResourceType>17</rasd:ResourceType><rasd:Parent>3</rasd:Parent><rasd:HostResource>ovf:/disk/e</rasd:HostResource></ovf:Item>
    </ovf:VirtualHardwareSection></ovf:VirtualSystem></ovf:Envelope>`;
  writeFileSync(path.join(at('p'), 'm.ovf'), ovf);
  const sha1 = (name: string) =>
    createHash('sha1')
      .update(readFileSync(path.join(at('p'), name)))
      .digest('hex');
  writeFileSync(path.join(at('p'), 'm.mf'), `SHA1(m.ovf)= ${sha1('m.ovf')}\r\nSHA1 (d.vmdk) = ${sha1('d.vmdk')}\r\n`);
  execFileSync('tar', ['--format=ustar', '-cf', at('m.ova'), 'm.ovf', 'm.mf', 'd.vmdk'], { cwd: at('p') });
  const { machine, notes } = await h.call('vm.importOva', { file: at('m.ova') });
  expect(machine.name).toBe('theirs');
  expect(machine.config!.memoryMiB).toBe(1024);
  expect(notes.join('\n')).toMatch(/IDE now[\s\S]*4 processors/);
  const [first, second] = machine
    .config!.drives.filter(({ kind }) => kind === 'disk')
    .map(({ path: file }) => path.join(machine.folder, file!));
  expect(JSON.parse(qemuImg('info', '--output=json', first!))['virtual-size']).toBe(4 * MIB);
  expect(JSON.parse(qemuImg('info', '--output=json', second!))['virtual-size']).toBe(1024 * MIB);
  qemuImg('resize', '-f', 'raw', path.join(at('p'), 'd.raw'), '4M');
  expect(qemuImg('compare', '-F', 'raw', first!, path.join(at('p'), 'd.raw'))).toContain('identical');

  // A changed disk is noticed, and nothing is left of it.
  const bytes = readFileSync(path.join(at('p'), 'd.vmdk'));
  bytes[bytes.length - 2000]! ^= 1;
  writeFileSync(path.join(at('p'), 'd.vmdk'), bytes);
  const before = h.names();
  const failure = await failureOf(h.call('vm.importOva', { file: path.join(at('p'), 'm.ovf') }));
  expect(failure).toMatchObject({ kind: 'corrupt', message: expect.stringContaining('manifest') });
  expect(h.names()).toEqual(before);
});

test('hostile packages are refused', async () => {
  const refuse = (text: string) => {
    expect(() => parseXml(text, 'x.ovf')).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  };
  // Where, and what, in words of ours.
  expect(() => parseXml('<a>\n<b>\n</a>', 'x.ovf')).toThrow('x.ovf is damaged: line 3: a closing tag fits none that is open');
  expect(() => parseXml('<a>&unknown;</a>', 'x.ovf')).toThrow('line 1: there is an unknown or wrong entity');
  expect(() => parseXml('<a b=1/>', 'x.ovf')).toThrow('line 1: an attribute is not written as XML wants it');
  expect(() => parseXml('<a>', 'x.ovf')).toThrow('line 1: a tag is not closed');
  expect(() => parseXml('words <a/>', 'x.ovf')).toThrow('line 1: there is text before the first tag');
  refuse('<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]><a>&z;</a>');
  refuse('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>');
  refuse('<a>&unknown;</a>');
  refuse('<a><b></a>');
  refuse('');
  refuse('<a>'.repeat(200) + '</a>'.repeat(200));
  refuse(`<a>${'<b/>'.repeat(60_000)}</a>`);
  refuse(`<a>${' '.repeat(5 << 20)}</a>`);
  mkdirSync(at('q'));
  writeFileSync(at('secret'), Buffer.alloc(MIB, 1));
  const ovf = (href: string) =>
    `<Envelope><References><File id="f" href="${href}"/></References><DiskSection><Disk diskId="d" fileRef="f" capacity="1048576"/></DiskSection><VirtualSystem id="v"><VirtualHardwareSection><Item><ResourceType>17</ResourceType><HostResource>ovf:/disk/d</HostResource></Item></VirtualHardwareSection></VirtualSystem></Envelope>`;
  for (const href of ['../secret', at('secret'), 'q/../../secret']) {
    writeFileSync(path.join(at('q'), 'a.ovf'), ovf(href));
    expect((await failureOf(h.call('vm.importOva', { file: path.join(at('q'), 'a.ovf') }))).kind).toBe('not-found');
  }
  for (const href of ['http://example.org/a.vmdk', 'file:///etc/passwd']) {
    writeFileSync(path.join(at('q'), 'a.ovf'), ovf(href));
    expect((await failureOf(h.call('vm.importOva', { file: path.join(at('q'), 'a.ovf') }))).kind).toBe('unsupported');
  }
  // Archives that are cut off or lie about sizes.
  writeFileSync(path.join(at('q'), 'a.ovf'), ovf('a.vmdk'));
  execFileSync('tar', ['--format=ustar', '-cf', at('a.ova'), 'a.ovf'], { cwd: at('q') });
  expect((await failureOf(h.call('vm.importOva', { file: at('a.ova') }))).kind).toBe('not-found');
  writeFileSync(at('notes.ova'), 'buy milk');
  const foreign = await failureOf(h.call('vm.importOva', { file: at('notes.ova') }));
  expect(foreign.dto).toMatchObject({ message: `${at('notes.ova')} is no OVA or OVF file`, fix: expect.stringContaining('Storage') });
  const good = readFileSync(at('a.ova'));
  const lies = Buffer.from(good);
  lies.write('77777777777', 124);
  writeFileSync(at('b.ova'), lies);
  expect((await failureOf(h.call('vm.importOva', { file: at('b.ova') }))).kind).toBe('corrupt');
  writeFileSync(at('c.ova'), good.subarray(0, 700));
  expect((await failureOf(h.call('vm.importOva', { file: at('c.ova') }))).kind).toBe('corrupt');
  expect(existsSync(path.join(h.library, 'v'))).toBe(false);
});
