/** Network cards in the terms of QEMU's command line. */
import type { ExplainedOption } from '../../contract/hardware.ts';
import type { DriveId } from '../../contract/drives.ts';
import { bootFileFor, type NetPlace, type Network, type NetworkCard, type NicModel } from '../../contract/networks.ts';
import type { FirmwareKind } from '../../contract/vm.ts';
import { NET_SLOTS } from '../../machine/slots.ts';
import { say, type Saying } from '../../util/say.ts';
import { option } from './explaindrives.ts';
import { optionValue } from './quoting.ts';

const devices: { [M in NicModel]: string } = { virtio: 'virtio-net-pci,disable-legacy=on', e1000: 'e1000' };

/** With its interface of this computer, where it has one. */
export type ExplainedNetwork = Network & { device?: string | null };

export interface ExplainNetworkParts {
  vm: string;
  firmware: FirmwareKind;
  /** Places that are booted from, first to last. */
  order: readonly (DriveId | NetPlace)[];
  /** What is known of a network. */
  network(id: string): ExplainedNetwork | undefined;
  remarks: Saying[];
}

export function explainNetwork(cards: readonly NetworkCard[], parts: ExplainNetworkParts): ExplainedOption[] {
  const { order, network, remarks } = parts;
  if (cards.length === 0) return [option(say('explainNoNetwork'), ['-nic', 'none'])];
  const options: ExplainedOption[] = [];
  for (const { id, model, mac, network: leads, connected } of cards) {
    const found = leads === null || !connected ? undefined : network(leads);
    const netdev = found?.device
      ? `tap,id=cable-${id},ifname=${found.device},script=no,downscript=no`
      : `user,id=cable-${id}${found ? addresses(found, id, parts) : ',restrict=on,ipv6=off'}`;
    const note =
      !connected || leads === null ? say('explainNoCable', { card: id }) : say('explainCable', { card: id, network: found?.name ?? leads });
    options.push(option(note, ['-netdev', netdev]));
    const slot = NET_SLOTS[id].toString(16).padStart(2, '0');
    const place = order.indexOf(id);
    // The ROM that QEMU puts into a card unless told otherwise is iPXE, too.
    const start = place < 0 ? ',romfile=' : `,bootindex=${place + 1}`;
    const words = `${devices[model]}${start},netdev=cable-${id},mac=${mac},addr=${slot}.0`;
    options.push(option(say(place < 0 ? 'explainCard' : 'explainCardStarts', { card: id }), ['-device', words]));
  }
  remarks.push(say('remarkNetwork'));
  return options;
}

function addresses({ kind, subnet, dhcp, boot, forwards }: Network, card: string, { vm, firmware }: ExplainNetworkParts): string {
  const words = subnet === null ? [] : [`,net=${subnet}`];
  if (dhcp) words.push(`,dhcpstart=${dhcp.from}`);
  if (kind !== 'nat') words.push(',restrict=on');
  words.push(',ipv6=off');
  if (boot?.folder) words.push(`,tftp=${optionValue(boot.folder)}`);
  if (boot) words.push(`,bootfile=${optionValue(bootFileFor(boot, firmware))}`);
  for (const forward of forwards)
    if (forward.vm === vm && forward.card === card)
      words.push(`,hostfwd=${forward.protocol}:${forward.hostAddress}:${forward.hostPort}-:${forward.guestPort}`);
  return words.join('');
}
