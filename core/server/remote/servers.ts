import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { ContractClient } from '../../contract/client.ts';
import type { ViewerHello } from '../../contract/console.ts';
import type { ChannelKind } from '../../contract/methods.ts';
import type { RemoteServer, ServerProbe, ServersState } from '../../contract/servers.ts';
import type { ByteChannel, Transport } from '../../contract/transport.ts';
import type { VmSummary } from '../../contract/vm.ts';
import { JsonStore } from '../../manager/jsonstore.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { Logger } from '../../util/logger.ts';
import { probeCertificate } from '../pinned.ts';
import { type Endpoint, openRemoteChannel, parseServer, signIn } from './client.ts';

const MAX_SERVERS = 64;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
/** Machines say much; listeners hear of it at most so often, ms. */
const SETTLE_MS = 200;

const knownSchema = z.object({
  id: z.uuid(),
  name: z.string().max(100),
  url: z.string().max(2048),
  fingerprint: z.string().max(200).nullable(),
});
type Known = z.infer<typeof knownSchema>;
const fileSchema = z.object({ servers: z.array(knownSchema).max(MAX_SERVERS).default([]) });

/** Where tokens are kept. */
export interface SecretStore {
  readonly lasting: boolean;
  get(name: string): string | undefined;
  set(name: string, secret: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** The servers that this app is attached to (`servers.json` in the settings folder), each watched over a connection that comes back by itself. */
export class RemoteServers {
  private readonly store: JsonStore<z.infer<typeof fileSchema>>;
  private readonly secrets: SecretStore;
  private readonly log: Logger;
  private readonly watched = new Map<string, WatchedServer>();
  private readonly listeners: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  private constructor(store: JsonStore<z.infer<typeof fileSchema>>, secrets: SecretStore, log: Logger) {
    this.store = store;
    this.secrets = secrets;
    this.log = log;
    for (const known of store.get().servers) this.watch(known);
  }

  static async open(folder: string, secrets: SecretStore, log: Logger): Promise<RemoteServers> {
    return new RemoteServers(await JsonStore.open(path.join(folder, 'servers.json'), fileSchema, log, 0o600), secrets, log);
  }

  get state(): ServersState {
    return { servers: [...this.watched.values()].map(({ server }) => server), lasting: this.secrets.lasting };
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** What is at this address, before anything is said to it. */
  async probe(text: string): Promise<ServerProbe> {
    const { url, token } = parseServer(text);
    return { url, token, certificate: url.startsWith('https:') ? await probeCertificate(new URL(url)) : null };
  }

  /**
   * Takes a server in, once its token was accepted. `fingerprint`: what somebody compared and confirmed; without it an authority has to vouch for the certificate. A server that
   * is there already gets the new token and certificate.
   */
  async add(text: string, token: string, fingerprint: string | null, name = ''): Promise<RemoteServer> {
    const { url } = parseServer(text);
    const transport = await signIn({ url, token, fingerprint });
    transport.close();
    const before = this.store.get().servers.find((one) => one.url === url);
    if (!before && this.watched.size >= MAX_SERVERS)
      throw new HypervueError('resource-limit', say('serversFull', { most: MAX_SERVERS }), { object: url }, say('fixRemoveOne'));
    const known: Known = { id: before?.id ?? randomUUID(), name: name.trim().slice(0, 100) || new URL(url).host, url, fingerprint };
    await this.secrets.set(known.id, token);
    await this.store.change(({ servers }) => ({ servers: [...servers.filter(({ id }) => id !== known.id), known] }));
    this.watched.get(known.id)?.close();
    const watched = this.watch(known);
    this.changed();
    return watched.server;
  }

  /** Forgets a server with its token. The server knows nothing of it. */
  async remove(id: string): Promise<void> {
    this.watched.get(id)?.close();
    this.watched.delete(id);
    await this.store.change(({ servers }) => ({ servers: servers.filter((one) => one.id !== id) }));
    await this.secrets.remove(id);
    this.changed();
  }

  /** A connection of its own for a window. Rejects as `signIn` does, and with 'not-found'. */
  async connect(id: string): Promise<Transport> {
    return signIn(this.get(id).endpoint);
  }

  async openChannel(id: string, kind: ChannelKind, vmId: string, viewer?: ViewerHello): Promise<ByteChannel> {
    return openRemoteChannel(this.get(id).endpoint, kind, vmId, viewer);
  }

  close(): void {
    clearTimeout(this.timer);
    for (const watched of this.watched.values()) watched.close();
  }

  private get(id: string): WatchedServer {
    const found = this.watched.get(id);
    if (!found) throw new HypervueError('not-found', say('serverGone'), { object: id }, say('fixAddAgain'));
    return found;
  }

  private watch(known: Known): WatchedServer {
    const watched = new WatchedServer(known, this.secrets.get(known.id), () => this.changed(), this.log);
    this.watched.set(known.id, watched);
    return watched;
  }

  private changed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      for (const listener of this.listeners) listener();
    }, SETTLE_MS).unref();
  }
}

/** One server: its state and machines, as far as they can be told now. */
class WatchedServer {
  private readonly known: Known;
  private readonly token: string | undefined;
  private readonly changed: () => void;
  private readonly log: Logger;
  private readonly machines = new Map<string, RemoteServer['machines'][number]>();
  private state: RemoteServer['state'] = 'connecting';
  private problem: RemoteServer['problem'] = null;
  private role: RemoteServer['role'] = null;
  private client: ContractClient | undefined;
  private timer: NodeJS.Timeout | undefined;
  private retryMs = FIRST_RETRY_MS;
  private closed = false;

  constructor(known: Known, token: string | undefined, changed: () => void, log: Logger) {
    this.known = known;
    this.token = token;
    this.changed = changed;
    this.log = log;
    void this.connect();
  }

  get endpoint(): Endpoint {
    const { url, fingerprint } = this.known;
    if (this.token === undefined)
      throw new HypervueError('unauthorized', say('serverToken', { host: new URL(url).host }), { object: url }, say('fixGiveAgain'));
    return { url, fingerprint, token: this.token };
  }

  get server(): RemoteServer {
    const { state, problem, role } = this;
    const machines = [...this.machines.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    return { ...this.known, state, problem, role, machines };
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.client?.close();
  }

  private async connect(): Promise<void> {
    try {
      const client = new ContractClient(await signIn(this.endpoint));
      if (this.closed) {
        client.close();
        return;
      }
      this.client = client;
      client.on('vm.changed', (vm) => this.note(vm));
      client.on('vm.removed', ({ id }) => {
        this.machines.delete(id);
        this.changed();
      });
      client.onClose(() => this.lose(null));
      const [{ role }, list] = await Promise.all([client.call('access.me', {}), client.call('vm.list', {})]);
      this.machines.clear();
      for (const vm of list) this.note(vm);
      Object.assign(this, { state: 'ready', problem: null, role, retryMs: FIRST_RETRY_MS });
      this.changed();
    } catch (error) {
      this.lose(error);
    }
  }

  private note({ id, name, state }: VmSummary): void {
    this.machines.set(id, { id, name, state });
    this.changed();
  }

  private lose(error: unknown): void {
    if (this.closed) return;
    this.client?.close();
    this.client = undefined;
    clearTimeout(this.timer);
    const failure = error === null ? null : asHypervueError(error);
    if (failure && this.problem?.message !== failure.message) this.log.warn(`${this.known.url}: ${failure.message}`);
    this.problem = failure?.toJSON() ?? null;
    // Neither a wrong token nor another certificate gets better by trying again, and many wrong tokens lock this address out.
    const final = failure?.kind === 'unauthorized' || failure?.kind === 'permission-denied';
    this.state = failure?.kind === 'unauthorized' ? 'signedOut' : final ? 'stopped' : 'lost';
    if (!final) {
      this.timer = setTimeout(() => void this.connect(), this.retryMs).unref();
      this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
    }
    this.changed();
  }
}
