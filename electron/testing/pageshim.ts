/**
 * What the preload script finds as `electron` in a stand-in's page: `contextBridge` and `ipcRenderer` over the page's bindings. Source text, since it runs
 * in Chromium before the page's own scripts.
 */
export const PAGE_SHIM = `(() => {
  const listeners = new Map();
  const ports = new Map();
  const toWire = (value) => {
    if (!(value instanceof Uint8Array)) return { value };
    let text = '';
    for (const byte of value) text += String.fromCharCode(byte);
    return { bytes: btoa(text) };
  };
  const fromWire = (wire) => (wire.bytes === undefined ? wire.value : Uint8Array.from(atob(wire.bytes), (c) => c.charCodeAt(0)));
  const makePort = (id) => {
    const waiting = [];
    let handler = null;
    const port = {
      postMessage: (message) => window.__standinPort(id, toWire(message)),
      close: () => ports.delete(id),
      deliver: (data) => (handler ? handler({ data }) : waiting.push(data)),
    };
    Object.defineProperty(port, 'onmessage', {
      get: () => handler,
      set: (next) => {
        handler = next;
        for (const data of waiting.splice(0)) handler({ data });
      },
    });
    ports.set(id, port);
    return port;
  };
  window.__standinReceive = (message) => {
    if (message.channel === undefined) {
      ports.get(message.port)?.deliver(fromWire(message.wire));
      return;
    }
    const event = { ports: message.port === undefined ? [] : [makePort(message.port)] };
    for (const listener of [...(listeners.get(message.channel) ?? [])]) listener(event, ...message.args.map(fromWire));
  };
  window.__standinElectron = {
    contextBridge: { exposeInMainWorld: (name, api) => { window[name] = api; } },
    ipcRenderer: {
      send: (channel, ...args) => void window.__standinSend(channel, args.map(toWire)),
      invoke: (channel, ...args) => window.__standinInvoke(channel, args.map(toWire)),
      on: (channel, listener) => {
        if (!listeners.has(channel)) listeners.set(channel, new Set());
        listeners.get(channel).add(listener);
      },
      off: (channel, listener) => listeners.get(channel)?.delete(listener),
    },
  };
})();`;
