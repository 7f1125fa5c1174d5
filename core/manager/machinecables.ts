import type { NetPlace, NetworkCard } from '../contract/networks.ts';
import type { VmConfig } from '../contract/vm.ts';
import type { RunningVm } from '../engine/engine.ts';
import { asHypervueError } from '../util/errors.ts';
import type { MachineSelf } from './machineself.ts';

/** Where a card's cable leads now; null: nowhere. */
const placeOf = ({ connected, network }: Pick<NetworkCard, 'connected' | 'network'>): string | null => (connected ? network : null);

/** The machine under way with its cables as the file says; its cards stay what they are. */
export function withCablesOf(running: VmConfig, file: VmConfig): VmConfig {
  const network = running.network.map((card) => {
    const wanted = file.network.find(({ id }) => id === card.id);
    return wanted ? { ...card, network: wanted.network, connected: wanted.connected } : card;
  });
  return { ...running, network };
}

/** The cables of one machine that is on, from its cards to networks. */
export class MachineCables {
  private readonly machine: MachineSelf;
  /** Where each card's cable leads. */
  private readonly plugged = new Map<NetPlace, string>();
  private turn: Promise<void> = Promise.resolve();

  constructor(machine: MachineSelf) {
    this.machine = machine;
  }

  /** Before the machine starts: sockets for its cables, by card. Rejects where a network can't be had. */
  async open(cards: readonly NetworkCard[]): Promise<{ [card: string]: string }> {
    const sockets: { [card: string]: string } = {};
    for (const card of cards) {
      const network = placeOf(card);
      if (network !== null) sockets[card.id] = await this.plug(card, network);
    }
    return sockets;
  }

  /** Cables of the machine under way are to lead where its cards say now. What can't be plugged in is pulled out, and told in its log. */
  follow(cards: () => readonly NetworkCard[], vm: RunningVm): Promise<void> {
    this.turn = this.turn.then(async () => {
      for (const card of cards()) await this.move(card, vm).catch((error: unknown) => this.tell(card, error));
    });
    return this.turn;
  }

  /** The machine is off. */
  release(): void {
    for (const [card, network] of this.plugged) this.machine.parts.networks.close(network, { vm: this.machine.id, card });
    this.plugged.clear();
  }

  private async move(card: NetworkCard, vm: RunningVm): Promise<void> {
    const now = this.plugged.get(card.id) ?? null;
    const wanted = placeOf(card);
    if (now === wanted || this.machine.running() !== vm) return;
    if (now !== null) {
      await vm.plugCable(card.id, null);
      this.plugged.delete(card.id);
      this.machine.parts.networks.close(now, { vm: this.machine.id, card: card.id });
    }
    if (wanted === null) return;
    const socket = await this.plug(card, wanted);
    // It may have ended while the network started.
    if (this.machine.running() === vm) await vm.plugCable(card.id, socket);
    else this.release();
  }

  private async plug({ id: card, mac }: NetworkCard, network: string): Promise<string> {
    const { socket } = await this.machine.parts.networks.open(network, { vm: this.machine.id, card, mac });
    this.plugged.set(card, network);
    return socket;
  }

  private tell({ id }: NetworkCard, error: unknown): void {
    this.machine.record('warn', 'manager', `${id} could not be plugged in: ${asHypervueError(error).message}`);
  }
}
