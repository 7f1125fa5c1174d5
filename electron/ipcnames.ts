/** Names of the IPC messages between the preload script and the main process. */
export const IPC = {
  /** Both ways: one contract message. */
  message: 'hypervue:message',
  /** To the window: the manager is gone. */
  closed: 'hypervue:closed',
  /** From the window: (kind, vmId) -> id of the channel, or { error }. */
  openChannel: 'hypervue:open-channel',
  /** From the window: ready to take the port of channel `id`. */
  channelReady: 'hypervue:channel-ready',
  /** To the window: the port of channel `id`. */
  channelPort: 'hypervue:channel-port',
  /** From the window: (filters) -> path or null. */
  openDialog: 'hypervue:open-dialog',
} as const;
