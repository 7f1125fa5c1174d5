/** The OVF descriptor of a machine (DMTF DSP0243, version 1.1 envelope, virtual hardware as VMware and VirtualBox write it). */
import { escapeXml } from './xmltree.ts';

export interface OvfDescription {
  name: string;
  description: string;
  os: string;
  memoryMiB: number;
  uefi: boolean;
  disks: { file: string; fileBytes: number; capacityBytes: number }[];
  /** CD drives, empty. */
  cds: number;
}

/** Digits of the largest file size: the text keeps its length when the size is not known yet. */
const SIZE_DIGITS = 16;

export function writeOvf(machine: OvfDescription): string {
  const text = escapeXml;
  const item = (fields: Record<string, string | number | undefined>) =>
    `      <Item>\n${Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      // DSP0243 wants the elements of an item in the order of the alphabet.
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `        <rasd:${name}>${text(String(value))}</rasd:${name}>\n`)
      .join('')}      </Item>\n`;
  const files = machine.disks
    .map(
      ({ file, fileBytes }, i) =>
        `    <File ovf:href="${text(file)}" ovf:id="file${i + 1}" ovf:size="${String(fileBytes).padStart(SIZE_DIGITS, '0')}"/>\n`,
    )
    .join('');
  const disks = machine.disks
    .map(
      ({ capacityBytes }, i) =>
        `    <Disk ovf:capacity="${capacityBytes}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk${i + 1}" ovf:fileRef="file${i + 1}" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>\n`,
    )
    .join('');
  // Two IDE channels: the CD drive is the second one's first, as here.
  const places = [0, 1, 3].map((place) => ({ Parent: place < 2 ? 3 : 4, AddressOnParent: place % 2 }));
  const items = [
    item({ InstanceID: 1, ResourceType: 3, ElementName: '1 virtual CPU', VirtualQuantity: 1, AllocationUnits: 'hertz * 10^6' }),
    item({
      InstanceID: 2,
      ResourceType: 4,
      ElementName: `${machine.memoryMiB} MiB of memory`,
      VirtualQuantity: machine.memoryMiB,
      AllocationUnits: 'byte * 2^20',
    }),
    item({ InstanceID: 3, ResourceType: 5, ElementName: 'IDE 0', Address: 0 }),
    item({ InstanceID: 4, ResourceType: 5, ElementName: 'IDE 1', Address: 1 }),
    ...(machine.disks.length > places.length
      ? [item({ InstanceID: 5, ResourceType: 20, ElementName: 'SATA', ResourceSubType: 'AHCI', Address: 0 })]
      : []),
    ...machine.disks.map((_, i) =>
      item({
        InstanceID: 10 + i,
        ResourceType: 17,
        ElementName: `Disk ${i + 1}`,
        HostResource: `ovf:/disk/vmdisk${i + 1}`,
        ...(places[i] ?? { Parent: 5, AddressOnParent: i - places.length }),
      }),
    ),
    ...(machine.cds
      ? [item({ InstanceID: 6, ResourceType: 15, ElementName: 'CD drive', Parent: 4, AddressOnParent: 0, AutomaticAllocation: 'true' })]
      : []),
  ].join('');
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
${files}  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
${disks}  </DiskSection>
  <VirtualSystem ovf:id="${text(machine.name)}">
    <Info>A virtual machine</Info>
    <Name>${text(machine.name)}</Name>
    <OperatingSystemSection ovf:id="1">
      <Info>The guest operating system</Info>
      <Description>${text(machine.os || 'Other')}</Description>
    </OperatingSystemSection>
${machine.description ? `    <AnnotationSection>\n      <Info>Notes</Info>\n      <Annotation>${text(machine.description)}</Annotation>\n    </AnnotationSection>\n` : ''}    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${text(machine.name)}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-07</vssd:VirtualSystemType>
      </System>
${items}${machine.uefi ? '      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>\n' : ''}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}
