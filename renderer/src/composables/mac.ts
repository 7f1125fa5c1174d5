/** A hardware address of a virtual card: QEMU's and KVM's prefix, and three random bytes. The manager still asks that no other machine has it. */
export function newMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(3));
  return ['52', '54', '00', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
