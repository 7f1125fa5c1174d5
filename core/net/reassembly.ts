import { IPV4_BYTES, type Ipv4Packet } from './ipv4.ts';

/** RFC 791 section 3.2 gives 15 seconds, RFC 1122 section 3.3.2 wants 60 at the least; a cable is short. */
const PATIENCE_MS = 30_000;
const MAX_PACKETS = 64;
const MAX_FRAGMENTS = 128;
const MAX_BYTES = 65_535;

interface Unfinished {
  since: number;
  /** In order, without gaps' worth of overlap. */
  fragments: { offset: number; bytes: Uint8Array }[];
  /** Length of the whole payload, once its last fragment is there. */
  end: number | undefined;
  bytes: number;
}

/** Puts fragments together again. What overlaps is dropped as a whole (RFC 5722's reason holds for IPv4, too). */
export class Reassembly {
  private readonly unfinished = new Map<string, Unfinished>();

  /** The whole packet once `fragment` was the last that was missing. */
  add(fragment: Ipv4Packet, now: number): Ipv4Packet | undefined {
    const { source, destination, protocol, id, offset, more, packet, headerBytes } = fragment;
    const key = `${source} ${destination} ${protocol} ${id}`;
    const bytes = packet.subarray(headerBytes);
    // Only the last may have a length that is no multiple of 8.
    if (bytes.length === 0 || (more && bytes.length % 8 !== 0) || offset + bytes.length > MAX_BYTES - IPV4_BYTES) {
      this.unfinished.delete(key);
      return undefined;
    }
    this.forget(now);
    let whole = this.unfinished.get(key);
    if (!whole) {
      whole = { since: now, fragments: [], end: undefined, bytes: 0 };
      this.unfinished.set(key, whole);
    }
    if (!place(whole, offset, bytes, more)) {
      this.unfinished.delete(key);
      return undefined;
    }
    if (whole.end === undefined || whole.bytes < whole.end) return undefined;
    this.unfinished.delete(key);
    return joined(fragment, whole, whole.end);
  }

  private forget(now: number): void {
    for (const [key, { since }] of this.unfinished)
      if (now - since > PATIENCE_MS || this.unfinished.size >= MAX_PACKETS) this.unfinished.delete(key);
      else break;
  }
}

/** False where the fragment does not fit those that are there. */
function place(whole: Unfinished, offset: number, bytes: Uint8Array, more: boolean): boolean {
  const { fragments } = whole;
  if (fragments.length >= MAX_FRAGMENTS) return false;
  const end = offset + bytes.length;
  let at = fragments.length;
  while (at > 0 && fragments[at - 1]!.offset > offset) at--;
  const before = fragments[at - 1];
  const after = fragments[at];
  // The very same once more is what a network may do.
  if (before && before.offset === offset && before.bytes.length === bytes.length) return true;
  if ((before && before.offset + before.bytes.length > offset) || (after && end > after.offset)) return false;
  if (more ? whole.end !== undefined && end > whole.end : after !== undefined || whole.end !== undefined) return false;
  if (!more) whole.end = end;
  fragments.splice(at, 0, { offset, bytes: bytes.slice() });
  whole.bytes += bytes.length;
  return true;
}

function joined(last: Ipv4Packet, { fragments }: Unfinished, end: number): Ipv4Packet {
  const packet = new Uint8Array(IPV4_BYTES + end);
  packet.set(last.packet.subarray(0, IPV4_BYTES));
  for (const { offset, bytes } of fragments) packet.set(bytes, IPV4_BYTES + offset);
  return { ...last, packet, headerBytes: IPV4_BYTES, offset: 0, more: false };
}
