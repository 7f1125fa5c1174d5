/** Which machines are chosen, as file managers do it. Pure: the store holds it, pages show it. */
export interface Selection {
  ids: ReadonlySet<string>;
  /** Where a range begins. */
  anchor: string | null;
}

export const nothing: Selection = { ids: new Set(), anchor: null };

/** One more, or one less. */
export function toggled({ ids }: Selection, id: string): Selection {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return { ids: next, anchor: id };
}

/** From the anchor to `id` in the order that is shown; `keep` adds to what is chosen. */
export function ranged({ ids, anchor }: Selection, id: string, order: readonly string[], keep: boolean): Selection {
  const to = order.indexOf(id);
  const from = anchor === null ? to : order.indexOf(anchor);
  if (to < 0) return { ids, anchor };
  const start = from < 0 ? to : from;
  const range = order.slice(Math.min(start, to), Math.max(start, to) + 1);
  return { ids: new Set([...(keep ? ids : []), ...range]), anchor: from < 0 ? id : anchor };
}

export const all = (order: readonly string[]): Selection => ({ ids: new Set(order), anchor: order[0] ?? null });

/** Without what is no longer there. The same object when nothing is gone. */
export function pruned(selection: Selection, there: { has(id: string): boolean }): Selection {
  const ids = [...selection.ids].filter((id) => there.has(id));
  return ids.length === selection.ids.size ? selection : { ids: new Set(ids), anchor: selection.anchor };
}
