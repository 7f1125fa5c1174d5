import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { failureOf, Harness } from '../testing/harness.ts';

/** Packages as other programs write them, after DMTF DSP0243 (2.1.1, sections 7 to 9 and annex) and what VirtualBox and VMware put into theirs. */
const MIB = 1024 * 1024;
let h: Harness;
let folder: string;

beforeEach(async () => {
  h = await Harness.open();
  folder = path.join(h.root, 'package');
  mkdirSync(folder);
});

afterEach(async () => {
  await h.close();
});

const at = (name: string) => path.join(folder, name);
const digest = (algorithm: string, name: string) =>
  createHash(algorithm)
    .update(readFileSync(at(name)))
    .digest('hex');
const diskText = (file: string) => execFileSync('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -v 0 16', file], { encoding: 'utf8' });

/** A streamOptimized VMDK that holds `fill`, made by qemu-img. */
function vmdk(name: string, fill: string, mib = 4): void {
  const raw = at('raw.tmp');
  writeFileSync(raw, Buffer.alloc(mib * MIB).fill(fill, 0, MIB));
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized', raw, at(name)]);
  execFileSync('rm', [raw]);
}

const item = (fields: Record<string, string | number>) =>
  `<Item>${Object.entries(fields)
    .map(([name, value]) => `<rasd:${name}>${value}</rasd:${name}>`)
    .join('')}</Item>`;

/** A descriptor; `references` and `disks` as XML. */
const descriptor = (references: string, disks: string, hardware: string, system = '') => `<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-1" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common"
  xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vbox="http://www.virtualbox.org/ovf/machine"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>${references}</References>
  <DiskSection><Info>Virtual disk information</Info>${disks}</DiskSection>
  <NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
  <VirtualSystem ovf:id="vm">
    <Info>A virtual machine</Info><Name>Guest</Name>
    <OperatingSystemSection ovf:id="94" vmw:osType="ubuntu64Guest"><Info>OS</Info><Description>Ubuntu Linux (64-bit)</Description></OperatingSystemSection>
    <VirtualHardwareSection><Info>Hardware</Info>
      <System><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>
      ${hardware}
      <vmw:Config ovf:required="false" vmw:key="cpuHotAddEnabled" vmw:value="true"/>
      <vmw:ExtraConfig vmw:key="tools.x" vmw:value="1"/>
    </VirtualHardwareSection>${system}
  </VirtualSystem>
</Envelope>`;

const memory = item({
  AllocationUnits: 'byte * 2^20',
  ElementName: '512MB of memory',
  InstanceID: 2,
  ResourceType: 4,
  VirtualQuantity: 512,
});
const paths = (config: { drives: { kind: string; id: string; path: string | null }[] }) =>
  config.drives.filter(({ kind }) => kind === 'disk').map(({ id, path: file }) => `${id} ${file}`);

test('of VMware: controllers by parent, disks out of order, capacity in units, firmware, SHA-256 and SHA-1 manifests', async () => {
  vmdk('one.vmdk', 'A');
  vmdk('two.vmdk', 'B');
  const text = descriptor(
    `<File ovf:href="one.vmdk" ovf:id="file1" ovf:size="${statSync(at('one.vmdk')).size}"/><File ovf:href="two.vmdk" ovf:id="file2"/>`,
    `<Disk ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="1"/>
     <Disk ovf:capacity="4" ovf:capacityAllocationUnits="MegaBytes" ovf:diskId="vmdisk2" ovf:fileRef="file2"/>
     <Disk ovf:capacity="8000000" ovf:diskId="vmdisk3"/>`,
    `${memory}
     ${item({ Address: 0, ElementName: 'SCSI Controller 0', InstanceID: 3, ResourceSubType: 'lsilogic', ResourceType: 6 })}
     ${item({ Address: 0, ElementName: 'SATA Controller 0', InstanceID: 4, ResourceSubType: 'vmware.sata.ahci', ResourceType: 20 })}
     ${item({ AddressOnParent: 1, ElementName: 'Hard Disk 2', HostResource: 'ovf:/disk/vmdisk2', InstanceID: 8, Parent: 3, ResourceType: 17 })}
     ${item({ AddressOnParent: 0, ElementName: 'Hard Disk 1', HostResource: 'ovf:/disk/vmdisk1', InstanceID: 7, Parent: 3, ResourceType: 17 })}
     ${item({ AddressOnParent: 0, ElementName: 'Hard Disk 3', HostResource: 'ovf:/disk/vmdisk3', InstanceID: 9, Parent: 4, ResourceType: 17 })}
     ${item({ AutomaticAllocation: 'true', Connection: 'VM Network', ElementName: 'Ethernet 1', InstanceID: 10, ResourceSubType: 'VmxNet3', ResourceType: 10 })}
     <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>`,
  );
  writeFileSync(at('vm.ovf'), text);
  const files = ['vm.ovf', 'one.vmdk', 'two.vmdk'];
  writeFileSync(at('vm.mf'), files.map((name) => `SHA256(${name})= ${digest('sha256', name)}\n`).join(''));
  execFileSync('tar', ['--format=ustar', '-cf', at('vm.ova'), '-C', folder, 'vm.ovf', 'vm.mf', 'one.vmdk', 'two.vmdk']);
  const { machine, notes } = await h.call('vm.importOva', { file: at('vm.ova') });
  const config = machine.config!;
  expect(config).toMatchObject({ name: 'Guest', memoryMiB: 512, firmware: 'uefi', os: 'Ubuntu Linux (64-bit)' });
  // The first disk of the first controller is the first here.
  expect(paths(config)).toEqual(['ide0 disk.qcow2', 'ide1 disk2.qcow2', 'sata0 disk3.qcow2']);
  expect(diskText(path.join(machine.folder, 'disk.qcow2'))).toContain('AAAAAAAA');
  expect(diskText(path.join(machine.folder, 'disk2.qcow2'))).toContain('BBBBBBBB');
  const sizes = ['disk', 'disk2', 'disk3'].map(
    (name) =>
      JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path.join(machine.folder, `${name}.qcow2`)], { encoding: 'utf8' }))[
        'virtual-size'
      ],
  );
  expect(sizes).toEqual([1024 * MIB, 4 * MIB, 8_000_000]);
  expect(notes.join('\n')).toMatch(/IDE now[\s\S]*network cards/);
  // SHA-1, in the form that older versions write.
  writeFileSync(at('vm.mf'), files.map((name) => `SHA1 (${name}) = ${digest('sha1', name)}\r\n`).join(''));
  await h.call('vm.importOva', { file: at('vm.ovf') });
  writeFileSync(
    at('vm.mf'),
    files.map((name) => `SHA512(${name})= ${digest('sha512', name).replace(/^./, (d) => (d === '0' ? '1' : '0'))}\n`).join(''),
  );
  expect((await failureOf(h.call('vm.importOva', { file: at('vm.ovf') }))).kind).toBe('corrupt');
});

test('of VirtualBox: SATA, a firmware in its own section, no manifest', async () => {
  vmdk('box-disk001.vmdk', 'C');
  writeFileSync(
    at('box.ovf'),
    descriptor(
      '<File ovf:id="file1" ovf:href="box-disk001.vmdk"/>',
      '<Disk ovf:capacity="4194304" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" vbox:uuid="fe2bf9d4-8ef8-4f3a-9bd1-3c5b8f0d7a11"/>',
      `${item({ Caption: '512 MB of memory', AllocationUnits: 'MegaBytes', InstanceID: 2, ResourceType: 4, VirtualQuantity: 512 })}
       ${item({ Address: 0, Caption: 'ideController0', InstanceID: 3, ResourceSubType: 'PIIX4', ResourceType: 5 })}
       ${item({ Address: 0, Caption: 'sataController0', InstanceID: 5, ResourceSubType: 'AHCI', ResourceType: 20 })}
       ${item({ AddressOnParent: 0, AutomaticAllocation: 'true', Caption: 'disk1', HostResource: '/disk/vmdisk1', InstanceID: 7, Parent: 5, ResourceType: 17 })}
       ${item({ AddressOnParent: 0, AutomaticAllocation: 'true', Caption: 'cdrom1', InstanceID: 8, Parent: 3, ResourceType: 15 })}`,
      `<vbox:Machine ovf:required="false" version="1.19-linux" uuid="{4c5b8f0d-0000-4000-8000-3c5b8f0d7a11}" name="Guest">
        <Hardware><Firmware type="EFI"/><CPU count="1"/></Hardware><StorageControllers/></vbox:Machine>`,
    ),
  );
  const { machine, notes } = await h.call('vm.importOva', { file: at('box.ovf') });
  expect(machine.config).toMatchObject({ memoryMiB: 512, firmware: 'uefi' });
  expect(paths(machine.config!)).toEqual(['sata0 disk.qcow2']);
  expect(diskText(path.join(machine.folder, 'disk.qcow2'))).toContain('CCCCCCCC');
  expect(notes).toEqual([expect.stringContaining('no manifest')]);
});

test('of oVirt and virt-v2v: refused as what it is, and nothing is made', async () => {
  writeFileSync(
    at('ovirt.ovf'),
    `<?xml version="1.0" encoding="UTF-8"?>
<ovf:Envelope xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" ovf:version="0.9">
  <References><File ovf:href="group/volume" ovf:id="volume" ovf:size="4194304"/></References>
  <Section xsi:type="ovf:DiskSection_Type"><Info>List of Virtual Disks</Info>
    <Disk ovf:diskId="volume" ovf:size="1" ovf:fileRef="group/volume" ovf:volume-format="COW" ovf:disk-interface="VirtIO"/></Section>
  <Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>guest</Name>
    <Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>1 CPU</Info></Section></Content>
</ovf:Envelope>`,
  );
  expect(await failureOf(h.call('vm.importOva', { file: at('ovirt.ovf') }))).toMatchObject({
    kind: 'unsupported',
    message: expect.stringContaining('oVirt and virt-v2v'),
    dto: { fix: expect.stringContaining('tar xf') },
  });
  expect(readdirSync(h.library).filter((name) => !name.startsWith('.'))).toEqual([]);
});

/** One disk whose file is described by `file`. */
const oneDisk = (file: string, capacity = 4 * MIB) =>
  descriptor(
    file,
    `<Disk ovf:capacity="${capacity}" ovf:diskId="d" ovf:fileRef="f"/>`,
    `${memory}${item({ ElementName: 'disk', HostResource: 'ovf:/disk/d', InstanceID: 5, ResourceType: 17 })}`,
  );

test('files that are compressed, in pieces, or both', async () => {
  vmdk('disk.vmdk', 'D');
  const bytes = readFileSync(at('disk.vmdk'));
  const cut = (name: string, data: Buffer, size: number) => {
    for (let i = 0; i * size < data.length; i++)
      writeFileSync(at(`${name}.${String(i).padStart(9, '0')}`), data.subarray(i * size, (i + 1) * size));
  };
  writeFileSync(at('disk.vmdk.gz'), gzipSync(bytes));
  cut('cut.vmdk', bytes, 1000);
  const packed = gzipSync(bytes);
  cut('both.vmdk.gz', packed, 300);
  for (const [name, file] of [
    ['gz', '<File ovf:id="f" ovf:href="disk.vmdk.gz" ovf:compression="gzip"/>'],
    ['cut', `<File ovf:id="f" ovf:href="cut.vmdk" ovf:size="${bytes.length}" ovf:chunkSize="1000"/>`],
    ['both', `<File ovf:id="f" ovf:href="both.vmdk.gz" ovf:size="${packed.length}" ovf:chunkSize="300" ovf:compression="gzip"/>`],
  ]) {
    writeFileSync(at(`${name}.ovf`), oneDisk(file!));
    execFileSync('sh', ['-c', `cd '${folder}' && tar --format=ustar -cf ${name}.ova ${name}.ovf *.gz *.0*`]);
    for (const ending of ['ovf', 'ova']) {
      const { machine } = await h.call('vm.importOva', { file: at(`${name}.${ending}`) });
      expect(diskText(path.join(machine.folder, 'disk.qcow2'))).toContain('DDDDDDDD');
      expect(readdirSync(machine.folder).filter((each) => each.includes('unpacked'))).toEqual([]);
    }
  }
});

test('packages that mean harm, or are damaged, leave nothing behind', async () => {
  vmdk('disk.vmdk', 'E');
  writeFileSync(at('bomb.gz'), gzipSync(Buffer.alloc(160 * MIB)));
  writeFileSync(at('cut-off.gz'), gzipSync(readFileSync(at('disk.vmdk'))).subarray(0, 500));
  writeFileSync(at('noise.gz'), 'this was never compressed');
  writeFileSync(path.join(h.root, 'outside.vmdk'), readFileSync(at('disk.vmdk')));
  const refused: [string, string, RegExp][] = [
    ['<File ovf:id="f" ovf:href="bomb.gz" ovf:compression="gzip"/>', 'corrupt', /more than the disk/],
    ['<File ovf:id="f" ovf:href="cut-off.gz" ovf:compression="gzip"/>', 'corrupt', /unpacked/],
    ['<File ovf:id="f" ovf:href="noise.gz" ovf:compression="gzip"/>', 'corrupt', /unpacked/],
    ['<File ovf:id="f" ovf:href="disk.vmdk" ovf:compression="bzip2"/>', 'unsupported', /bzip2/],
    ['<File ovf:id="f" ovf:href="%E0%A4%A.vmdk"/>', 'corrupt', /address/],
    ['<File ovf:id="f" ovf:href="disk.vmdk" ovf:chunkSize="1000"/>', 'corrupt', /pieces/],
    ['<File ovf:id="f" ovf:href="disk.vmdk" ovf:size="99999999999" ovf:chunkSize="1"/>', 'corrupt', /pieces/],
    ['<File ovf:id="f" ovf:href="gone.vmdk" ovf:size="2000" ovf:chunkSize="1000"/>', 'not-found', /gone/],
    ['<File ovf:id="f" ovf:href="../outside.vmdk"/>', '', /./],
    ['<File ovf:id="f" ovf:href="/etc/passwd"/>', '', /./],
    ['<File ovf:id="f" ovf:href="https://example.org/disk.vmdk"/>', 'unsupported', /elsewhere/],
    ['<File ovf:id="other" ovf:href="disk.vmdk"/>', 'corrupt', /names no file/],
  ];
  for (const [file, kind, message] of refused) {
    writeFileSync(at('bad.ovf'), oneDisk(file));
    const error = await failureOf(h.call('vm.importOva', { file: at('bad.ovf') }));
    expect([file, error.kind, error.message]).toEqual([
      file,
      kind || expect.not.stringMatching(/internal/),
      expect.stringMatching(message),
    ]);
    expect(h.names()).toEqual([]);
  }
  for (const capacity of [2 ** 62, -1, Number.NaN]) {
    writeFileSync(at('bad.ovf'), oneDisk('<File ovf:id="f" ovf:href="disk.vmdk"/>', capacity));
    expect((await failureOf(h.call('vm.importOva', { file: at('bad.ovf') }))).kind).not.toBe('internal');
  }
  expect(h.names()).toEqual([]);
});
