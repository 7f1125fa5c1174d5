import type { VmConfig } from '../contract/vm.ts';
import type { Logger } from '../util/logger.ts';
import type { ToMachine } from './machinemessages.ts';
import { NetworkCable } from './networkcable.ts';

/** The cables of a machine's network cards. */
export class VmCables {
  private readonly cables: Map<string, NetworkCable>;

  constructor(
    { id, network }: Pick<VmConfig, 'id' | 'network'>,
    post: (message: ToMachine, transfer?: ArrayBuffer[]) => void,
    log: Logger,
  ) {
    this.cables = new Map(network.map(({ id: card, mac }) => [card, new NetworkCable({ vm: id, card, mac, post, log: log.child(card) })]));
  }

  get(card: string): NetworkCable | undefined {
    return this.cables.get(card);
  }

  /** What both threads know of each cable, by card. */
  get shared(): { [card: string]: SharedArrayBuffer } {
    return Object.fromEntries([...this.cables].map(([card, { traffic }]) => [card, traffic.shared]));
  }

  /** Of all, since start. */
  get receivedBytes(): number {
    return this.sum((cable) => cable.receivedBytes);
  }

  get sentBytes(): number {
    return this.sum((cable) => cable.sentBytes);
  }

  close(): void {
    for (const cable of this.cables.values()) cable.close();
  }

  private sum(bytes: (cable: NetworkCable) => number): number {
    let sum = 0;
    for (const cable of this.cables.values()) sum += bytes(cable);
    return sum;
  }
}
