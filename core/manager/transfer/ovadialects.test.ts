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

const OVIRT_NAMESPACES = `xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`;

/** A qcow2 image or a raw one that begins with `fill`. */
function disk(name: string, format: 'qcow2' | 'raw', fill: string): void {
  mkdirSync(path.dirname(at(name)), { recursive: true });
  writeFileSync(at('raw.tmp'), Buffer.alloc(4 * MIB).fill(fill, 0, MIB));
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, at('raw.tmp'), at(name)]);
  execFileSync('rm', [at('raw.tmp')]);
}

test('of oVirt, exported as OVA: qcow2 and raw disks, the raw one believed, interfaces, UEFI', async () => {
  disk('5a1e', 'qcow2', 'F');
  // What a guest wrote into a raw disk may look like anything.
  disk('inner', 'qcow2', 'G');
  writeFileSync(at('77c0'), Buffer.concat([readFileSync(at('inner')), Buffer.alloc(MIB)]));
  const vm = (id: string) =>
    `<ovf:File ovf:href="${id}" ovf:id="${id}" ovf:size="${statSync(at(id)).size}" ovf:description="" ovf:disk_storage_type="IMAGE" ovf:cinder_volume_type=""/>`;
  writeFileSync(
    at('vm.ovf'),
    `<?xml version="1.0" encoding="UTF-8"?>
<ovf:Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovirt="http://www.ovirt.org/ovf" ${OVIRT_NAMESPACES} ovf:version="4.4.0.0">
  <References>${vm('5a1e')}${vm('77c0')}</References>
  <DiskSection><Info>List of Virtual Disks</Info>
    <Disk ovf:diskId="d1" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30" ovf:populatedSize="4" ovf:parentRef="" ovf:fileRef="5a1e" ovf:format="http://www.gnome.org/~markmc/qcow-image-format.html" ovf:volume-format="COW" ovf:volume-type="Sparse" ovf:disk-interface="SATA" ovf:boot="true"/>
    <Disk ovf:diskId="d2" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30" ovf:parentRef="" ovf:fileRef="77c0" ovf:format="http://www.vmware.com/specifications/vmdk.html#sparse" ovf:volume-format="RAW" ovf:disk-interface="IDE"/>
  </DiskSection>
  <VirtualSystem ovf:id="0f3c"><Name>guest</Name><Description>of oVirt</Description><BiosType>3</BiosType>
    <OperatingSystemSection ovf:id="96" ovirt:id="1301" ovf:required="false"><Info>Guest Operating System</Info><Description>debian_9</Description></OperatingSystemSection>
    <VirtualHardwareSection><Info>1 CPU, 1024 Memory</Info>
      ${item({ Caption: '1 virtual cpu', InstanceID: 1, ResourceType: 3, VirtualQuantity: 1 })}
      ${item({ Caption: '1024 MB of memory', InstanceID: 2, ResourceType: 4, AllocationUnits: 'MegaBytes', VirtualQuantity: 1024 })}
      ${item({ Caption: 'one', InstanceID: 'd1', ResourceType: 17, HostResource: 'ovf:/disk/d1', Parent: '00000000-0000-0000-0000-000000000000' })}
      ${item({ Caption: 'two', InstanceID: 'd2', ResourceType: 17, HostResource: 'ovf:/disk/d2', Parent: '00000000-0000-0000-0000-000000000000' })}
      ${item({ Caption: 'CDROM', InstanceID: 'cd', ResourceType: 15 })}
    </VirtualHardwareSection></VirtualSystem>
</ovf:Envelope>`,
  );
  execFileSync('tar', ['--format=ustar', '-cf', at('vm.ova'), '-C', folder, 'vm.ovf', '5a1e', '77c0']);
  const { machine } = await h.call('vm.importOva', { file: at('vm.ova') });
  expect(machine.config).toMatchObject({ name: 'guest', description: 'of oVirt', memoryMiB: 1024, firmware: 'uefi' });
  expect(paths(machine.config!)).toEqual(['sata0 disk.qcow2', 'ide0 disk2.qcow2']);
  expect(diskText(path.join(machine.folder, 'disk.qcow2'))).toContain('FFFFFFFF');
  expect(diskText(path.join(machine.folder, 'disk2.qcow2'))).toMatch(/51 46 49 fb/);
});

test('of virt-v2v for oVirt: sections by their type, sizes in GiB, files by their address; in a folder and in an archive', async () => {
  disk('group/volume', 'qcow2', 'H');
  writeFileSync(
    at('v2v.ovf'),
    `<?xml version="1.0" encoding="UTF-8"?>
<ovf:Envelope ${OVIRT_NAMESPACES} xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" ovf:version="0.9">
  <References><File ovf:href="group/volume" ovf:id="volume" ovf:size="4194304" ovf:description="generated by virt-v2v"/></References>
  <Section xsi:type="ovf:NetworkSection_Type"><Info>List of networks</Info></Section>
  <Section xsi:type="ovf:DiskSection_Type"><Info>List of Virtual Disks</Info>
    <Disk ovf:diskId="volume" ovf:size="1" ovf:fileRef="group/volume" ovf:parentRef="" ovf:format="http://en.wikipedia.org/wiki/Byte" ovf:volume-format="COW" ovf:volume-type="Sparse" ovf:disk-interface="VirtIO" ovf:disk-type="System" ovf:boot="True"/></Section>
  <Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>guest</Name><BiosType>1</BiosType>
    <Section ovf:id="0f3c" ovf:required="false" xsi:type="ovf:OperatingSystemSection_Type"><Info>Guest OS</Info><Description>debian_9</Description></Section>
    <Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>1 CPU, 768 Memory</Info>
      ${item({ Caption: '1 virtual cpu', InstanceId: 1, ResourceType: 3, num_of_sockets: 1, cpu_per_socket: 1 })}
      ${item({ Caption: '768 MB of memory', InstanceId: 2, ResourceType: 4, AllocationUnits: 'MegaBytes', VirtualQuantity: 768 })}
      ${item({ Caption: 'Drive 1', InstanceId: 'volume', ResourceType: 17, HostResource: 'group/volume', Parent: '00000000-0000-0000-0000-000000000000' })}
    </Section></Content>
</ovf:Envelope>`,
  );
  execFileSync('tar', ['--format=ustar', '-cf', at('v2v.ova'), '-C', folder, 'v2v.ovf', 'group/volume']);
  for (const ending of ['ovf', 'ova']) {
    const { machine } = await h.call('vm.importOva', { file: at(`v2v.${ending}`) });
    expect(machine.config).toMatchObject({ memoryMiB: 768, firmware: 'bios', os: 'debian_9' });
    expect(paths(machine.config!)).toEqual(['ide0 disk.qcow2']);
    const info = JSON.parse(
      execFileSync('qemu-img', ['info', '--output=json', path.join(machine.folder, 'disk.qcow2')], { encoding: 'utf8' }),
    );
    expect(info['virtual-size']).toBe(1024 * MIB);
    expect(diskText(path.join(machine.folder, 'disk.qcow2'))).toContain('HHHHHHHH');
  }
});

test('a qcow2 image in a package that lies on a file of this computer is refused, and nothing is made', async () => {
  disk('base.qcow2', 'qcow2', 'I');
  writeFileSync(path.join(h.root, 'secret'), Buffer.alloc(4 * MIB, 'S'));
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', path.join(h.root, 'secret'), '-F', 'raw', at('thief')]);
  execFileSync('qemu-img', [
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    `data_file=${path.join(h.root, 'outside')},data_file_raw=on`,
    at('other'),
    '4M',
  ]);
  for (const [name, files] of [
    ['thief', 'thief'],
    ['other', 'other'],
  ] as const) {
    writeFileSync(
      at(`${name}.ovf`),
      descriptor(
        `<File ovf:id="f" ovf:href="${name}"/>`,
        `<Disk ovf:capacity="${4 * MIB}" ovf:diskId="d" ovf:fileRef="f" ovf:volume-format="COW"/>`,
        `${memory}${item({ ElementName: 'disk', HostResource: 'ovf:/disk/d', InstanceID: 5, ResourceType: 17 })}`,
      ),
    );
    execFileSync('tar', ['--format=ustar', '-cf', at(`${name}.ova`), '-C', folder, `${name}.ovf`, files]);
    for (const ending of ['ovf', 'ova'])
      expect(await failureOf(h.call('vm.importOva', { file: at(`${name}.${ending}`) }))).toMatchObject({
        kind: 'unsupported',
        message: expect.stringContaining('does not belong to the package'),
      });
  }
  expect(readdirSync(h.library).filter((each) => !each.startsWith('.'))).toEqual([]);
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
