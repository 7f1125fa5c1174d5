/** Tags, folders and saved views of the library, kept in its file `.library.json`; which machine has which is in the machine's own vm.json. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import {
  type AutostartFailure,
  groupSchema,
  type libraryMethods,
  type LibraryOrder,
  MAX_GROUP_DEPTH,
  type SavedView,
  savedViewSchema,
  type Tag,
  type TagColor,
  tagColors,
  tagSchema,
} from '../../contract/library.ts';
import type { Handlers } from '../../contract/server.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { Logger } from '../../util/logger.ts';
import type { EventName, EventPayload } from '../../contract/methods.ts';
import { JsonStore } from '../jsonstore.ts';
import type { Machine } from '../machine.ts';
import { sameTag, spelledAs, withTags } from './tags.ts';

export const ORDER_FILE = '.library.json';
const MAX_KEPT_TAGS = 500;
const MAX_GROUPS = 1000;
const MAX_VIEWS = 100;

const keptSchema = z.object({
  tags: z.array(tagSchema).max(MAX_KEPT_TAGS).default([]),
  groups: z.array(groupSchema).max(MAX_GROUPS).default([]),
  views: z.array(savedViewSchema).max(MAX_VIEWS).default([]),
});
type Kept = z.infer<typeof keptSchema>;
export type OrderStore = JsonStore<Kept>;

export const openOrder = (library: string, log: Logger): Promise<OrderStore> =>
  JsonStore.open(path.join(library, ORDER_FILE), keptSchema, log);

export interface OrganizerParts {
  machines(): readonly Machine[];
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void;
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/** The colour of a tag that nobody has given one: always the same for the same name. */
function usualColor(name: string): TagColor {
  let sum = 0;
  for (const character of name.toLowerCase()) sum = (sum * 31 + character.codePointAt(0)!) >>> 0;
  return tagColors[1 + (sum % (tagColors.length - 1))]!;
}

/** 'a/b/c': 'a', 'a/b', 'a/b/c'. */
const withParents = (group: string): string[] => group.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
const within = (group: string, folder: string): boolean => group === folder || group.startsWith(`${folder}/`);

export class Organizer {
  readonly handlers: Omit<Pick<Handlers, keyof typeof libraryMethods>, 'vm.bulk' | 'vm.bulkEdit'>;
  private readonly parts: OrganizerParts;
  private readonly store: OrderStore;
  private failures: AutostartFailure[] = [];

  constructor(store: OrderStore, parts: OrganizerParts) {
    this.store = store;
    this.parts = parts;
    this.handlers = {
      'library.get': async () => {
        await store.reload();
        return this.order();
      },
      'library.setTag': ({ name, color, rename }) => this.setTag(name, color, rename),
      'library.removeTag': ({ name }) => this.removeTag(name),
      'library.addGroup': ({ path: group }) => this.addGroup(group),
      'library.moveGroup': ({ path: group, to }) => this.moveGroup(group, to),
      'library.removeGroup': ({ path: group }) => this.removeGroup(group),
      'library.saveView': (view) => this.saveView({ ...view, id: view.id ?? randomUUID() }, view.id === undefined),
      'library.removeView': async ({ id }) => {
        await this.change((kept) => ({ ...kept, views: kept.views.filter((view) => view.id !== id) }));
        return null;
      },
      'library.forgetFailures': async () => {
        this.failures = [];
        this.told();
        return null;
      },
    };
  }

  order(): LibraryOrder {
    const { tags, groups, views } = this.store.get();
    const known = new Map<string, Tag>(tags.map((tag) => [tag.name.toLowerCase(), tag]));
    const folders = new Set(groups.flatMap(withParents));
    for (const { config } of this.parts.machines()) {
      for (const name of config?.tags ?? [])
        if (!known.has(name.toLowerCase())) known.set(name.toLowerCase(), { name, color: usualColor(name) });
      if (config?.group) for (const folder of withParents(config.group)) folders.add(folder);
    }
    return {
      tags: [...known.values()].sort((a, b) => collator.compare(a.name, b.name)),
      groups: [...folders].sort((a, b) => comparePaths(a, b)),
      views: [...views].sort((a, b) => collator.compare(a.name, b.name)),
      autostartFailures: this.failures,
    };
  }

  /** As tags are written already: 'web' when there is a 'web' and somebody types 'Web'. */
  spelled(names: readonly string[]): string[] {
    return spelledAs(
      this.order().tags.map(({ name }) => name),
      names,
    );
  }

  /** A machine went into a folder: it stays when the machine leaves. */
  async remember(group: string): Promise<void> {
    if (this.store.get().groups.includes(group) || this.store.get().groups.length >= MAX_GROUPS) this.told();
    else await this.change((kept) => ({ ...kept, groups: [...new Set([...kept.groups, ...withParents(group)])] }));
  }

  /** Machines that could not be started with the manager. */
  failed(failures: AutostartFailure[]): void {
    this.failures = failures;
    this.told();
  }

  /** A machine has other tags or another folder: there may be a new one, or one that nobody has any more. */
  told(): void {
    this.parts.emit('library.changed', this.order());
  }

  private async change(edit: (kept: Kept) => Kept): Promise<LibraryOrder> {
    await this.store.reload();
    await this.store.change(edit);
    this.told();
    return this.order();
  }

  private async setTag(name: string, color: TagColor | undefined, rename: string | undefined): Promise<LibraryOrder> {
    const old = this.order().tags.find((tag) => sameTag(tag.name, name));
    if (!old && rename !== undefined) throw this.gone('tag', name);
    const wanted = rename ?? old?.name ?? name;
    await this.eachMachine(
      (machine) => rename !== undefined && (machine.config?.tags ?? []).some((tag) => sameTag(tag, name)),
      (machine) => machine.settings.update({ tags: withTags(machine.config?.tags ?? [], [wanted], [name]) }),
    );
    return this.change((kept) => {
      if (kept.tags.length >= MAX_KEPT_TAGS && !old) throw tooMany('tags', MAX_KEPT_TAGS);
      return {
        ...kept,
        tags: [
          ...kept.tags.filter((tag) => !sameTag(tag.name, name) && !sameTag(tag.name, wanted)),
          { name: wanted, color: color ?? old?.color ?? usualColor(wanted) },
        ],
      };
    });
  }

  private async removeTag(name: string): Promise<LibraryOrder> {
    await this.eachMachine(
      (machine) => (machine.config?.tags ?? []).some((tag) => sameTag(tag, name)),
      (machine) => machine.settings.update({ tags: withTags(machine.config?.tags ?? [], [], [name]) }),
    );
    return this.change((kept) => ({ ...kept, tags: kept.tags.filter((tag) => !sameTag(tag.name, name)) }));
  }

  private addGroup(group: string): Promise<LibraryOrder> {
    if (this.order().groups.includes(group)) throw taken(group);
    return this.change((kept) => {
      if (kept.groups.length >= MAX_GROUPS) throw tooMany('groups', MAX_GROUPS);
      return { ...kept, groups: [...new Set([...kept.groups, ...withParents(group)])] };
    });
  }

  private async moveGroup(group: string, to: string): Promise<LibraryOrder> {
    const { groups } = this.order();
    if (!groups.includes(group)) throw this.gone('group', group);
    if (group === to) return this.order();
    if (within(to, group))
      throw new HypervueError(
        'invalid-argument',
        say('groupIntoItself', { group }),
        { object: group, operation: 'move' },
        say('fixOtherFolder'),
      );
    if (groups.includes(to)) throw taken(to);
    const moved = (path: string) => (within(path, group) ? to + path.slice(group.length) : path);
    const deep = groups.map(moved).find((path) => path.split('/').length > MAX_GROUP_DEPTH);
    if (deep !== undefined)
      throw new HypervueError(
        'invalid-argument',
        say('groupTooDeep', { group: deep, most: MAX_GROUP_DEPTH }),
        { object: group, operation: 'move' },
        say('fixGroupTooDeep'),
      );
    return this.regroup(moved);
  }

  private removeGroup(group: string): Promise<LibraryOrder> {
    const parent = group.split('/').slice(0, -1).join('/');
    const up = (path: string): string => {
      if (path === group) return parent;
      return within(path, group) ? [parent, path.slice(group.length + 1)].filter(Boolean).join('/') : path;
    };
    if (!this.order().groups.includes(group)) throw this.gone('group', group);
    return this.regroup(up);
  }

  /** Folders, machines and views go where `moved` says. */
  private async regroup(moved: (path: string) => string): Promise<LibraryOrder> {
    // Folders that were only there for what lay in them stay too.
    const { groups } = this.order();
    await this.eachMachine(
      ({ config }) => config !== null && moved(config.group) !== config.group,
      (machine) => machine.settings.update({ group: moved(machine.config!.group) }),
    );
    return this.change((kept) => ({
      ...kept,
      groups: [...new Set([...groups, ...kept.groups].map(moved))].filter((path) => path !== ''),
      views: kept.views.map((view) => (view.group ? { ...view, group: moved(view.group) || null } : view)),
    }));
  }

  private async saveView(view: SavedView, fresh: boolean): Promise<SavedView> {
    await this.change((kept) => {
      if (!fresh && !kept.views.some(({ id }) => id === view.id)) throw this.gone('view', view.name);
      if (kept.views.some(({ id, name }) => id !== view.id && name.toLowerCase() === view.name.toLowerCase()))
        throw new HypervueError('already-exists', say('viewTaken', { name: view.name }), { object: view.name }, say('fixName'));
      if (fresh && kept.views.length >= MAX_VIEWS) throw tooMany('views', MAX_VIEWS);
      return { ...kept, views: [...kept.views.filter(({ id }) => id !== view.id), view] };
    });
    return view;
  }

  private async eachMachine(which: (machine: Machine) => boolean, edit: (machine: Machine) => Promise<void>): Promise<void> {
    for (const machine of this.parts.machines().filter(which)) await edit(machine);
  }

  private gone(what: 'tag' | 'group' | 'view', name: string): HypervueError {
    return new HypervueError('not-found', say(`${what}Gone`, { name }), { object: name }, say('fixRemovedMeanwhile'));
  }
}

/** A folder before what is in it, and neighbours by name. */
function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = collator.compare(left[i]!, right[i]!) || (left[i]! < right[i]! ? -1 : left[i]! > right[i]! ? 1 : 0);
    if (order) return order;
  }
  return left.length - right.length;
}

const taken = (group: string) => new HypervueError('already-exists', say('groupTaken', { group }), { object: group }, say('fixName'));
const tooMany = (what: 'tags' | 'groups' | 'views', most: number) =>
  new HypervueError(
    'resource-limit',
    say(`${what}Most`, { most }),
    { operation: 'library' },
    say(`fix${what === 'tags' ? 'Tags' : what === 'groups' ? 'Groups' : 'Views'}Most`),
  );
