import { bootCards } from '../contract/boot.ts';
import { bootSequence } from '../contract/bootsequence.ts';
import { defaultNic } from '../contract/defaultnic.ts';
import type { DriveId } from '../contract/drives.ts';
import type { NetPlace, NetworkCard, NicModel } from '../contract/networks.ts';
import type { FirmwareKind, VmConfig, VmCreate } from '../contract/vm.ts';
import { findNetworkRom } from '../platform/firmware.ts';
import { plain, say } from '../util/say.ts';
import type { MachineNetworks } from './networks/attachments.ts';
import { bad, failed, good, type PreflightCheck, type PreflightParts } from './preflight.ts';

/** Whether there is what a card's cable leads to; nothing of one whose cable is pulled out. */
export async function checkCable(
  networks: Pick<MachineNetworks, 'look' | 'obstacle'>,
  { id, network, connected }: Pick<NetworkCard, 'network' | 'connected'> & { id: NetPlace },
): Promise<PreflightCheck[]> {
  if (network === null || !connected) return [];
  try {
    const { name, problem } = networks.look(network);
    const obstacle = await networks.obstacle(network);
    if (obstacle) return [failed(id, obstacle, name)];
    // It is tried again when the machine starts.
    return [problem ? { ...failed(id, problem, name), severity: 'warning' } : good(id, plain(name))];
  } catch {
    return [bad(id, 'error', 'not-found', say('cardNetworkGone', { card: id, name: network }), say('fixNetworkGone'))];
  }
}

/** iPXE, without which nothing is started over a card of this model. */
function checkRom(
  { firmware }: Pick<PreflightParts, 'firmware'>,
  id: string,
  model: NicModel,
  kind: FirmwareKind,
): PreflightCheck | undefined {
  if (findNetworkRom(firmware().folder, model, kind) !== undefined) return undefined;
  return bad(`${id}.rom`, 'error', 'not-found', say('networkRomGone', { model }), say('fixIpxe'));
}

/** What keeps a card's network from having something to start from: a warning, for it may be there when it is asked. */
async function checkHandedOut(
  { networks }: Pick<PreflightParts, 'networks'>,
  id: string,
  { id: card, network, connected }: Pick<NetworkCard, 'id' | 'network' | 'connected'>,
  firmware: FirmwareKind,
): Promise<PreflightCheck | undefined> {
  if (network === null || !connected)
    return bad(id, 'warning', 'invalid-state', say(network === null ? 'bootNoNetwork' : 'bootNoCable', { card }), say('fixBootNoCable'));
  // What is not there at all is said of the cable.
  const problem = await networks.bootProblem(network, firmware).catch(() => null);
  return problem ? { ...failed(id, problem, ''), severity: 'warning' } : undefined;
}

/**
 * Of the cards that a machine is started over. `boots`: one of them may well do it. `starting`: the drives that it could be started from; a card behind one of
 * them is not asked what its network hands out. Null: it goes on from a state, and none is.
 */
export async function checkBootCards(
  parts: PreflightParts,
  config: VmConfig,
  starting: readonly DriveId[] | null,
): Promise<{ checks: PreflightCheck[]; boots: boolean }> {
  const checks: PreflightCheck[] = [];
  let boots = false;
  const cards = bootCards(config);
  for (const card of cards) {
    const rom = checkRom(parts, card.id, card.model, config.firmware);
    if (rom) checks.push(rom);
  }
  if (starting === null || checks.length) return { checks, boots };
  for (const device of bootSequence(config.boot.order, [...config.drives, ...cards]).tried) {
    if ('kind' in device) {
      if (starting.includes(device.id)) break;
      continue;
    }
    const empty = await checkHandedOut(parts, `${device.id}.boot`, device, config.firmware);
    if (empty) checks.push(empty);
    else boots = true;
  }
  return { checks, boots };
}

/** The same of a machine that is to be made, and is to start from the network. */
export async function checkNetworkSource(parts: PreflightParts, create: VmCreate): Promise<PreflightCheck[]> {
  const [card] = create.network ?? [];
  if (!card) return [bad('source', 'error', 'invalid-argument', say('bootWantsCard'), say('fixBootWantsCard'))];
  const rom = checkRom(parts, card.id, card.model ?? defaultNic(create.os ?? ''), create.firmware ?? 'bios');
  const empty = await checkHandedOut(parts, 'source', card, create.firmware ?? 'bios');
  const found = [rom, empty].filter((check) => check !== undefined);
  if (found.length || card.network === null) return found;
  return [good('network-source', say('bootFromNetwork', { name: nameOf(parts.networks, card.network) }))];
}

/** That it is not there is said of the cable. */
function nameOf(networks: Pick<MachineNetworks, 'look'>, network: string): string {
  try {
    return networks.look(network).name;
  } catch {
    return network;
  }
}
