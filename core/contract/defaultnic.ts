import { knowsVirtio } from './defaultbus.ts';
import type { NicModel } from './networks.ts';

/** The card of a new machine when nobody chose: VirtIO where the system surely has a driver for version 1, else Intel's, which nearly all of them know. */
export const defaultNic = (os: string): NicModel => (knowsVirtio(os) ? 'virtio' : 'e1000');
