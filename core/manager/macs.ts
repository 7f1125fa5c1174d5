/** Addresses of network cards: every card of a library has one of its own, made here. */
import { randomBytes } from 'node:crypto';
import { type NetworkCard, virtualMac, type WantedCard } from '../contract/networks.ts';

/** An address for which `taken` says no. */
export function newMac(taken: (mac: string) => boolean): string {
  for (;;) {
    const mac = virtualMac(randomBytes(3));
    if (!taken(mac)) return mac;
  }
}

/** The cards that are wanted: one without an address keeps that of the card in its place. */
export const settledCards = (wanted: readonly WantedCard[], now: readonly NetworkCard[], make: () => string): NetworkCard[] =>
  wanted.map((card) => ({ ...card, mac: card.mac ?? macOf(now, card.id) ?? make() }));

/** Cards of another time with the addresses that the cards in their places have now. */
export const withPresentMacs = (then: readonly NetworkCard[], now: readonly NetworkCard[]): NetworkCard[] =>
  then.map((card) => ({ ...card, mac: macOf(now, card.id) ?? card.mac }));

/** Cards of a machine of their own. */
export const renewedCards = (cards: readonly NetworkCard[], make: () => string): NetworkCard[] =>
  cards.map((card) => ({ ...card, mac: make() }));

const macOf = (cards: readonly NetworkCard[], place: string): string | undefined => cards.find(({ id }) => id === place)?.mac;
