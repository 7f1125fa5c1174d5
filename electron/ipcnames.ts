/** Names of the IPC messages between the preload script and the main process. */
export const IPC = {
  /** Both ways: one contract message. */
  message: 'hypervue:message',
  /** To the window: the manager is gone. */
  closed: 'hypervue:closed',
  /** From the window: (id of a remote server, or null for this computer) -> null, or { error }. What the page says from then on goes there. */
  connect: 'hypervue:connect',
  /** From the window: (verb, parameters) -> { result } or { error }. The remote servers that the app is attached to. */
  servers: 'hypervue:servers',
  /** To every window: they are not what they were. */
  serversChanged: 'hypervue:servers-changed',
  /** From the window: (kind, vmId) -> id of the channel, or { error }. */
  openChannel: 'hypervue:open-channel',
  /** From the window: ready to take the port of channel `id`. */
  channelReady: 'hypervue:channel-ready',
  /** To the window: the port of channel `id`. */
  channelPort: 'hypervue:channel-port',
  /** From the window: (filters) -> path or null. */
  openDialog: 'hypervue:open-dialog',
} as const;
